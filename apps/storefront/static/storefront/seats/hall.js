// The seats of a hall: where they are, what they cost, and which are free. Seats are numbered in the order of the map.

import { say, won } from "./words.js";

export const FREE = 0;
export const HELD = 1;
export const SOLD = 2;
export const MINE = 3;
const STATES = { A: FREE, H: HELD, R: SOLD };
const STATE_WORDS = ["free", "held", "sold", "mine"];

const NEAR = 3; // seats to the side that are still "behind" or "in front"

export class Hall {
  #seats;
  #prices;
  #index = new Map();
  #own;
  #confirmed = new Set();
  #rows;
  #kinds = new Map();

  /** `map` as the server draws it; `own` are ids of seats that the customer has already. */
  constructor(map, own) {
    this.#seats = map.seats;
    this.#prices = new Map(map.grades.map(({ grade, price }) => [grade, price]));
    this.#own = new Set(own);
    this.size = map.seats.length;
    this.states = new Uint8Array(this.size).fill(SOLD);
    this.sections = [];
    this.wanted = ""; // the kind that is looked for
    const numbers = new Map();
    this.sectionOf = new Uint16Array(this.size);
    this.bounds = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
    map.seats.forEach(([, name, , , x, y], seat) => {
      if (!numbers.has(name)) {
        numbers.set(name, this.sections.length);
        this.sections.push({ name, seats: [], left: x, top: y, right: x, bottom: y });
      }
      const number = numbers.get(name);
      const section = this.sections[number];
      section.seats.push(seat);
      this.sectionOf[seat] = number;
      widen(section, x, y);
      widen(this.bounds, x, y);
      this.#index.set(x * 65_536 + y, seat);
    });
    for (const { kind, seat_ids: ids } of map.kinds ?? []) {
      for (const seat of this.seatsWithIds(ids)) this.#kinds.set(seat, kind);
    }
  }

  id(seat) {
    return this.#seats[seat][0];
  }

  row(seat) {
    return this.#seats[seat][2];
  }

  number(seat) {
    return this.#seats[seat][3];
  }

  x(seat) {
    return this.#seats[seat][4];
  }

  y(seat) {
    return this.#seats[seat][5];
  }

  grade(seat) {
    return this.#seats[seat][6];
  }

  /** Undefined for a standard seat. */
  kind(seat) {
    return this.#kinds.get(seat);
  }

  /** Seats that are no standard ones, with their kinds. */
  get special() {
    return this.#kinds;
  }

  /** Whether a seat is of the kind that is looked for, as all are while none is. */
  isWanted(seat) {
    return !this.wanted || this.kind(seat) === this.wanted;
  }

  price(seat) {
    return this.#prices.get(this.grade(seat));
  }

  section(seat) {
    return this.sections[this.sectionOf[seat]];
  }

  isFree(seat) {
    return this.states[seat] === FREE;
  }

  /** Whether the customer had this seat when the page was made. */
  isOwn(seat) {
    return this.#own.has(this.id(seat));
  }

  seatsWithIds(ids) {
    const wanted = new Set(ids);
    return this.#seats.flatMap(([id], seat) => (wanted.has(id) ? [seat] : []));
  }

  /** "Floor A, row C, seat 12" */
  name(seat) {
    return say("seat", {
      section: this.section(seat).name,
      row: this.row(seat),
      number: this.number(seat),
    });
  }

  /** "VIP, ₩165,000, free" or "VIP, ₩165,000, aisle seat, free" */
  details(seat, isChosen = false) {
    const state = say(isChosen ? "chosen" : STATE_WORDS[this.states[seat]]);
    const details = { grade: this.grade(seat), price: won(this.price(seat)), state };
    const kind = this.kind(seat);
    return kind ? say("detailsOfKind", { ...details, kind: say(kind) }) : say("details", details);
  }

  /** Both, for who cannot see where the seat is. */
  describe(seat, isChosen = false) {
    return say("described", { seat: this.name(seat), details: this.details(seat, isChosen) });
  }

  /** Takes one letter for each seat; returns the seats that have changed. */
  update(letters) {
    const changed = [];
    for (let seat = 0; seat < this.size; seat += 1) {
      let state = STATES[letters[seat]] ?? SOLD;
      if (this.isOwn(seat)) state = this.#ownState(seat, state);
      if (state !== this.states[seat]) {
        this.states[seat] = state;
        changed.push(seat);
      }
    }
    return changed;
  }

  /** The first answers may be older than the customer's own hold; once one knew of it, a free seat is a free seat. */
  #ownState(seat, state) {
    if (state !== FREE) this.#confirmed.add(seat);
    return state === FREE && this.#confirmed.has(seat) ? FREE : MINE;
  }

  /** Another customer has these, whatever the last answer said. Returns those that change. */
  take(seats) {
    const changed = seats.filter((seat) => this.isFree(seat));
    for (const seat of changed) this.states[seat] = HELD;
    return changed;
  }

  at(x, y) {
    return this.#index.get(x * 65_536 + y);
  }

  /** The seat to which an arrow leads: the next in the row, across aisles; or the nearest in a row in front or behind. */
  next(seat, direction) {
    const [x, y] = [this.x(seat), this.y(seat)];
    const rows = this.#inRows();
    if (direction === "left" || direction === "right") {
      const row = rows.get(y);
      return row[row.indexOf(seat) + (direction === "right" ? 1 : -1)] ?? seat;
    }
    const lines = [...rows.keys()];
    const step = direction === "down" ? 1 : -1;
    let fallback = seat;
    for (let at = lines.indexOf(y) + step; lines[at] !== undefined; at += step) {
      const nearest = this.#nearest(rows.get(lines[at]), x);
      if (Math.abs(this.x(nearest) - x) <= NEAR) return nearest;
      if (fallback === seat) fallback = nearest;
    }
    return fallback;
  }

  /** The first or the last seat of a seat's row of the hall. */
  edge(seat, direction) {
    const row = this.#inRows().get(this.y(seat));
    return row[direction === "left" ? 0 : row.length - 1];
  }

  /** A free seat near the stage and the middle, to begin with. */
  start() {
    const middle = (this.bounds.left + this.bounds.right) / 2;
    for (const row of this.#inRows().values()) {
      const free = row.filter((seat) => this.isFree(seat));
      if (free.length) return this.#nearest(free, middle);
    }
    return 0;
  }

  #nearest(seats, x) {
    let best = seats[0];
    for (const seat of seats) {
      if (Math.abs(this.x(seat) - x) < Math.abs(this.x(best) - x)) best = seat;
    }
    return best;
  }

  /** Seats by line of the map, from the stage, each from the left. Made when it is first needed. */
  #inRows() {
    if (!this.#rows) {
      const rows = new Map();
      for (let seat = 0; seat < this.size; seat += 1) {
        const y = this.y(seat);
        if (!rows.has(y)) rows.set(y, []);
        rows.get(y).push(seat);
      }
      for (const row of rows.values()) row.sort((a, b) => this.x(a) - this.x(b));
      this.#rows = new Map([...rows].sort(([one], [other]) => one - other));
    }
    return this.#rows;
  }
}

function widen(box, x, y) {
  box.left = Math.min(box.left, x);
  box.right = Math.max(box.right, x);
  box.top = Math.min(box.top, y);
  box.bottom = Math.max(box.bottom, y);
}
