// Shows the chosen seats, their price, what the rules say to them, and the button that holds them.

import { Singles } from "./singles.js";
import { figure, say, won } from "./words.js";

export class Tray {
  #form;
  #hall;
  #selection;
  #isSoldOut = false;
  #isOpen = false; // the list, where a small screen has it folded
  #singles;
  #rules;

  /** `rules` has `singleSeats`, OFF, WARN or REFUSE, and `priceLimit`, won that no balance may exceed. `onHold()` and `onRemove(seat)` when their buttons are pressed; `onEmpty()` when the focus has nothing left here. */
  constructor({ form, hall, selection, rules, onHold, onRemove, onEmpty }) {
    Object.assign(this, { onRemove, onEmpty });
    this.#rules = rules;
    this.#singles = new Singles(hall);
    this.#form = form;
    this.#hall = hall;
    this.#selection = selection;
    selection.addEventListener("change", () => this.show());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!this.#slot("hold").disabled) onHold();
    });
    this.#slot("open").addEventListener("click", () => this.#setOpen(!this.#isOpen));
    // What has the focus is not to lie behind the tray where that stays on the screen.
    new ResizeObserver(() => {
      document.documentElement.style.setProperty("--tray-height", `${form.offsetHeight}px`);
    }).observe(form);
    this.show();
  }

  say(text) {
    return warn(this.#slot("alert"), text);
  }

  setSoldOut(isSoldOut) {
    this.#isSoldOut = isSoldOut;
    this.show();
  }

  show() {
    const { seats, limit } = this.#selection;
    const list = this.#slot("chosen");
    // Only what changed, so that the focus stays on a button that stays.
    for (const item of [...list.children]) {
      if (!seats.includes(Number(item.dataset.seat))) this.#remove(item);
    }
    for (const seat of seats) {
      if (!list.querySelector(`[data-seat="${seat}"]`)) list.append(this.#item(seat));
    }
    const total = seats.reduce((sum, seat) => sum + this.#hall.price(seat), 0);
    const count = say("count", { count: figure(seats.length), limit: figure(limit) });
    for (const name of ["total", "open-total"]) this.#slot(name).textContent = won(total);
    for (const name of ["count", "open-count"]) this.#slot(name).textContent = count;
    this.#slot("open").hidden = seats.length === 0;
    if (seats.length === 0) this.#setOpen(false);
    this.#part("total").hidden = seats.length === 0;
    this.#part("empty").hidden = seats.length > 0 || this.#isSoldOut;
    const none = seats.length === 0 && this.#isSoldOut ? say("noneLeft") : "";
    if (this.#slot("none").textContent !== none) this.#slot("none").textContent = none; // or it would be read again
    const hold = this.#slot("hold");
    if (seats.length === 0 && hold === document.activeElement) this.onEmpty();
    const { text, isRefusal } = this.#advice(seats, total);
    const advice = this.#slot("advice");
    if (advice.textContent !== text) advice.textContent = text; // or it would be read again
    advice.className = text ? "tray__advice notice notice--warning" : "tray__advice";
    hold.disabled = seats.length === 0 || isRefusal;
    this.#form.classList.toggle("tray__panel--filled", seats.length > 0);
  }

  #setOpen(isOpen) {
    this.#isOpen = isOpen;
    this.#slot("open").setAttribute("aria-expanded", String(isOpen));
    this.#form.classList.toggle("tray__panel--open", isOpen);
  }

  /** What is to be known of a choice before it is sent, and whether the server would refuse it. */
  #advice(seats, total) {
    const { singleSeats, priceLimit } = this.#rules;
    if (total > priceLimit) {
      return { text: say("tooDear", { price: won(total), limit: won(priceLimit) }), isRefusal: true };
    }
    const left = singleSeats === "OFF" ? [] : this.#singles.leftBy(seats);
    if (!left.length) return { text: "", isRefusal: false };
    const isRefusal = singleSeats === "REFUSE";
    const names = left.map((seat) => this.#hall.name(seat)).join(" · ");
    return { text: say(isRefusal ? "singleRefused" : "single", { seats: names }), isRefusal };
  }

  #item(seat) {
    const name = this.#hall.name(seat);
    const item = document.createElement("li");
    item.className = "tray__seat";
    item.dataset.seat = seat;
    const text = document.createElement("span");
    text.textContent = name;
    const price = document.createElement("span");
    price.className = "figures soft";
    price.textContent = `${this.#hall.grade(seat)} · ${won(this.#hall.price(seat))}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "tray__remove";
    remove.textContent = "×";
    remove.setAttribute("aria-label", say("remove", { seat: name }));
    remove.addEventListener("click", () => this.onRemove(seat));
    item.append(text, price, remove);
    return item;
  }

  /** A focus that would be lost goes to the button of the next seat. */
  #remove(item) {
    const hadFocus = item.contains(document.activeElement);
    const next = item.nextElementSibling ?? item.previousElementSibling;
    item.remove();
    if (!hadFocus) return;
    if (next) next.querySelector("button").focus();
    else this.onEmpty();
  }

  #part(name) {
    return this.#form.querySelector(`[data-part="${name}"]`);
  }

  #slot(name) {
    return this.#form.querySelector(`[data-slot="${name}"]`);
  }
}

/** Say beside a form what went wrong, instead of what was said before; returns the notice. No text is no notice. */
export function warn(place, text) {
  place.replaceChildren();
  if (!text) return undefined;
  const notice = document.createElement("p");
  notice.className = "notice notice--warning";
  notice.textContent = text;
  place.append(notice);
  return notice;
}
