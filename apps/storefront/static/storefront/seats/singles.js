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

  /** `row` has every seat of a row by its number. */
  #leftIn(row, chosen) {
    const before = new Set([...row].filter(([, seat]) => this.#hall.isFree(seat)).map(([number]) => number));
    const after = new Set(before);
    for (const seat of chosen) after.delete(this.#hall.number(seat));
    const hasNeighbour = (numbers, number) => numbers.has(number - 1) || numbers.has(number + 1);
    const left = [...after].filter((number) => !hasNeighbour(after, number) && hasNeighbour(before, number));
    const rests = runs(before).map((length) => length - chosen.length);
    return rests.some((rest) => rest >= 0 && rest !== 1) ? left.map((number) => row.get(number)) : [];
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
        this.#rows.get(name).set(this.#hall.number(seat), seat);
      }
    }
    return this.#rows;
  }
}

/** How many numbers follow each other without a gap, for each such run. */
function runs(numbers) {
  const lengths = [];
  for (const number of numbers) {
    if (numbers.has(number - 1)) continue;
    let end = number;
    while (numbers.has(end + 1)) end += 1;
    lengths.push(end - number + 1);
  }
  return lengths;
}
