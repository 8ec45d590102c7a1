// Free seats that a choice leaves without a free neighbour. The server reckons the same: apps/reservations/services/single_seats.py

export class Singles {
  #hall;
  #rows;

  constructor(hall) {
    this.#hall = hall;
  }

  /** The seats that these make single, though as many seats side by side in their row need not. */
  leftBy(seats) {
    const rows = new Map();
    for (const seat of seats) {
      const name = this.#nameOfRow(seat);
      rows.set(name, [...(rows.get(name) ?? []), seat]);
    }
    return [...rows].flatMap(([name, chosen]) => this.#leftIn(this.#inRows().get(name), chosen));
  }

  /** `row` has every seat of a row by its place on the map, where an aisle is a gap. */
  #leftIn(row, chosen) {
    const before = new Set([...row].filter(([, seat]) => this.#hall.isFree(seat)).map(([place]) => place));
    const after = new Set(before);
    for (const seat of chosen) after.delete(this.#hall.x(seat));
    const hasNeighbour = (places, place) => places.has(place - 1) || places.has(place + 1);
    const left = [...after].filter((place) => !hasNeighbour(after, place) && hasNeighbour(before, place));
    const rests = runs(before).map((length) => length - chosen.length);
    return rests.some((rest) => rest >= 0 && rest !== 1) ? left.map((place) => row.get(place)) : [];
  }

  #nameOfRow(seat) {
    return JSON.stringify([this.#hall.section(seat).name, this.#hall.row(seat)]);
  }

  /** Made when it is first needed. */
  #inRows() {
    if (!this.#rows) {
      this.#rows = new Map();
      for (let seat = 0; seat < this.#hall.size; seat += 1) {
        const name = this.#nameOfRow(seat);
        if (!this.#rows.has(name)) this.#rows.set(name, new Map());
        this.#rows.get(name).set(this.#hall.x(seat), seat);
      }
    }
    return this.#rows;
  }
}

/** How many places follow each other without a gap, for each such run. */
function runs(places) {
  const lengths = [];
  for (const place of places) {
    if (places.has(place - 1)) continue;
    let end = place;
    while (places.has(end + 1)) end += 1;
    lengths.push(end - place + 1);
  }
  return lengths;
}
