// What was chosen, what it costs, and the button that holds it.

import { figure, say, won } from "./words.js";

export class Tray {
  #form;
  #hall;
  #selection;

  /** `onHold()` when the button is pressed. */
  constructor({ form, hall, selection, onHold }) {
    this.#form = form;
    this.#hall = hall;
    this.#selection = selection;
    selection.addEventListener("change", () => this.show());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (selection.seats.length) onHold();
    });
    form.hidden = false;
    this.show();
  }

  say(text) {
    const alert = this.#slot("alert");
    alert.replaceChildren();
    if (!text) return;
    const notice = document.createElement("p");
    notice.className = "notice notice--warning";
    notice.textContent = text;
    alert.append(notice);
  }

  show() {
    const { seats, limit } = this.#selection;
    const list = this.#slot("chosen");
    // Only what changed, so that the focus stays on a button that stays.
    for (const item of [...list.children]) {
      if (!seats.includes(Number(item.dataset.seat))) item.remove();
    }
    for (const seat of seats) {
      if (!list.querySelector(`[data-seat="${seat}"]`)) list.append(this.#item(seat));
    }
    const total = seats.reduce((sum, seat) => sum + this.#hall.price(seat), 0);
    this.#slot("total").textContent = won(total);
    this.#slot("count").textContent = say("count", { count: figure(seats.length), limit: figure(limit) });
    this.#part("total").hidden = seats.length === 0;
    this.#part("empty").hidden = seats.length > 0 || limit === 0;
    const hold = this.#slot("hold");
    if (seats.length === 0 && hold === document.activeElement) this.#focusHead(); // or the focus would be nowhere
    hold.disabled = seats.length === 0;
    this.#form.classList.toggle("tray__panel--filled", seats.length > 0);
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
    remove.addEventListener("click", () => {
      this.#selection.remove([seat]);
      this.#focusHead();
    });
    item.append(text, price, remove);
    return item;
  }

  #focusHead() {
    this.#form.querySelector("h2").focus();
  }

  #part(name) {
    return this.#form.querySelector(`[data-part="${name}"]`);
  }

  #slot(name) {
    return this.#form.querySelector(`[data-slot="${name}"]`);
  }
}
