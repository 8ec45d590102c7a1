// The seats of a hall as staff see them. Seats are numbered in the order of the map.

export class Hall {
  #seats;
  #states;
  #inSeats;
  #kinds = new Map();
  #categories;
  #index = new Map();

  constructor({ map, painted }) {
    this.#seats = map.seats;
    this.#states = painted.states;
    this.#inSeats = painted.inSeats;
    this.#categories = new Map(painted.categories.map((category) => [category.id, category]));
    this.sections = map.sections;
    this.size = map.seats.length;
    this.bounds = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
    const byId = new Map();
    for (let seat = 0; seat < this.size; seat += 1) {
      const [x, y] = [this.x(seat), this.y(seat)];
      byId.set(this.id(seat), seat);
      this.#index.set(x * 65_536 + y, seat);
      this.bounds.left = Math.min(this.bounds.left, x);
      this.bounds.right = Math.max(this.bounds.right, x);
      this.bounds.top = Math.min(this.bounds.top, y);
      this.bounds.bottom = Math.max(this.bounds.bottom, y);
    }
    for (const { kind, seat_ids: ids } of map.kinds) {
      for (const id of ids) this.#kinds.set(byId.get(id), kind);
    }
    this.seatsWithIds = (ids) => ids.map((id) => byId.get(id)).filter((seat) => seat !== undefined);
  }

  id(seat) {
    return this.#seats[seat][0];
  }

  x(seat) {
    return this.#seats[seat][4];
  }

  y(seat) {
    return this.#seats[seat][5];
  }

  state(seat) {
    return this.#states[seat];
  }

  isFree(seat) {
    return this.#states[seat] === "A";
  }

  category(seat) {
    return this.#categories.get(this.#inSeats[seat]);
  }

  kind(seat) {
    return this.#kinds.get(seat);
  }

  at(x, y) {
    return this.#index.get(x * 65_536 + y);
  }

  /** The seats that a click on one stands for. */
  around(seat, mode) {
    const [, section, row] = this.#seats[seat];
    if (mode !== "row" && mode !== "section") return [seat];
    return this.#all().filter((other) => {
      const [, itsSection, itsRow] = this.#seats[other];
      return itsSection === section && (mode === "section" || itsRow === row);
    });
  }

  /** The seats whose middle is within a line that was drawn, in seats. */
  within(line) {
    return this.#all().filter((seat) => isWithin(line, this.x(seat) + 0.5, this.y(seat) + 0.5));
  }

  /** "Floor A, row C, seat 12 · VIP · House · free · wheelchair space" */
  describe(seat, say) {
    const [, section, row, number, , , grade] = this.#seats[seat];
    const parts = [
      say("seat", { section, row, number }),
      grade,
      this.category(seat)?.name ?? say("open"),
      say(this.state(seat)),
    ];
    if (this.kind(seat)) parts.push(say(this.kind(seat)));
    return parts.join(" · ");
  }

  #all() {
    return Array.from({ length: this.size }, (_, seat) => seat);
  }
}

/** Whether a point is within a polygon: a ray from it crosses the border an odd number of times. */
function isWithin(line, x, y) {
  let isInside = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i, i += 1) {
    const [a, b] = [line[i], line[j]];
    if (a.y > y !== b.y > y && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) isInside = !isInside;
  }
  return isInside;
}
