// What was chosen, what it costs, and the button that holds it.

import { post } from "./post.js";
import { figure, say, won } from "./words.js";

export class Tray {
  #form;
  #hall;
  #selection;

  /** `onRefused(error)` may know better than the message of the error: it then returns what to say, or nothing. */
  constructor({ form, hall, selection, onRefused }) {
    this.#form = form;
    this.#hall = hall;
    this.#selection = selection;
    this.onRefused = onRefused;
    selection.addEventListener("change", () => this.show());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#hold();
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
    this.#slot("hold").disabled = seats.length === 0;
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
      this.#form.querySelector("h2").focus();
    });
    item.append(text, price, remove);
    return item;
  }

  async #hold() {
    const { seats } = this.#selection;
    if (!seats.length) return;
    const body = new FormData(this.#form);
    for (const seat of seats) body.append("seats", this.#hall.id(seat));
    await submit(this.#form, this.#slot("hold"), body, {
      onRefused: this.onRefused,
      onSay: (text) => this.say(text),
    });
  }

  #part(name) {
    return this.#form.querySelector(`[data-part="${name}"]`);
  }

  #slot(name) {
    return this.#form.querySelector(`[data-slot="${name}"]`);
  }
}

/** Send a form once, however often its button is pressed, and go where the answer leads. */
export async function submit(form, button, body, { onRefused, onSay }) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  onSay("");
  const answer = await post(form.getAttribute("action") || location.href, body);
  if (answer.location) {
    location.assign(answer.location); // and the button stays busy until then
    return;
  }
  button.removeAttribute("aria-busy");
  onSay(onRefused(answer.error) ?? answer.error.message);
}
