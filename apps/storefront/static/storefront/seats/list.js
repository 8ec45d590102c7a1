// The same seats as lists of buttons: for screen readers, and for visitors who prefer it. Each part is made when it is opened.

import { figure, say, won } from "./words.js";

export class SeatList {
  #hall;
  #selection;
  #buttons = new Map();
  #counts = [];

  constructor({ root, hall, selection, onToggle }) {
    this.#hall = hall;
    this.#selection = selection;
    this.onToggle = onToggle;
    this.root = root;
    if (root.open) this.#fill(); // by who did not wait for the map
    else root.addEventListener("toggle", () => this.#fill(), { once: true });
  }

  update(changed) {
    for (const seat of changed) {
      const button = this.#buttons.get(seat);
      if (button) this.#dress(button, seat);
    }
    if (changed.length) for (const count of this.#counts) count();
  }

  /** After another kind of seats is looked for. */
  filter() {
    this.update([...this.#buttons.keys()]);
    for (const count of this.#counts) count();
  }

  #fill() {
    const list = this.root.querySelector('[data-slot="list"]');
    for (const section of this.#hall.sections) {
      const { name, seats } = section;
      const title = /^\d+$/.test(name) ? say("section", { section: name }) : name;
      list.append(this.#part(title, seats, (body) => this.#rows(body, seats)));
    }
  }

  #rows(body, seats) {
    const hall = this.#hall;
    const rows = new Map(); // and of a row with several grades each, so that its title can name the grade
    for (const seat of seats) {
      const title = `${say("row", { row: hall.row(seat) })} · ${hall.grade(seat)} ${won(hall.price(seat))}`;
      rows.set(title, [...(rows.get(title) ?? []), seat]);
    }
    for (const [title, inRow] of rows) {
      body.append(this.#part(title, inRow, (part) => this.#seats(part, inRow)));
    }
  }

  #seats(body, seats) {
    body.classList.add("seat-list__seats");
    for (const seat of seats) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = `seat-button seat-button--${this.#hall.grade(seat).toLowerCase()}`;
      button.textContent = this.#hall.number(seat);
      if (this.#hall.kind(seat)) button.append(sign(this.#hall.kind(seat)));
      button.addEventListener("click", () => this.onToggle(seat));
      this.#buttons.set(seat, button);
      this.#dress(button, seat);
      body.append(button);
    }
  }

  #dress(button, seat) {
    const isChosen = this.#selection.has(seat);
    button.hidden = !isChosen && !this.#hall.isWanted(seat);
    const isOpen = isChosen || this.#hall.isFree(seat);
    button.setAttribute("aria-label", this.#hall.describe(seat));
    button.setAttribute("aria-pressed", String(isChosen));
    button.setAttribute("aria-disabled", String(!isOpen));
  }

  #part(title, seats, fill) {
    const part = document.createElement("details");
    part.className = "seat-list__part";
    const summary = document.createElement("summary");
    const body = document.createElement("div");
    const free = document.createElement("span");
    free.className = "soft figures";
    const count = () => {
      const left = seats.filter((seat) => this.#hall.isFree(seat) && this.#hall.isWanted(seat)).length;
      free.textContent = say("freeCount", { count: figure(left) });
    };
    count();
    this.#counts.push(count);
    summary.append(title, " ", free);
    part.append(summary, body);
    part.addEventListener("toggle", () => fill(body), { once: true });
    return part;
  }
}

/** The sign of a kind, as in the legend. */
function sign(kind) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 10 10");
  svg.setAttribute("class", "seat-button__sign seat-sign");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#sign-${kind}`);
  svg.append(use);
  return svg;
}
