// The seats that the customer has chosen, in the order of choosing.

export class Selection extends EventTarget {
  #seats = [];

  constructor(limit) {
    super();
    this.limit = limit;
  }

  get seats() {
    return [...this.#seats];
  }

  has(seat) {
    return this.#seats.includes(seat);
  }

  /** Choose a seat, or take the choice back. False if that would be too many. */
  toggle(seat) {
    if (this.has(seat)) {
      this.remove([seat]);
    } else if (this.limit === 1 && this.#seats.length === 1) {
      this.#set([seat]);
    } else if (this.#seats.length < this.limit) {
      this.#set([...this.#seats, seat]);
    } else {
      return false;
    }
    return true;
  }

  /** Returns those that were chosen. */
  remove(seats) {
    const removed = this.#seats.filter((seat) => seats.includes(seat));
    if (removed.length) this.#set(this.#seats.filter((seat) => !removed.includes(seat)));
    return removed;
  }

  #set(seats) {
    const changed = [...this.#seats, ...seats].filter(
      (seat) => this.#seats.includes(seat) !== seats.includes(seat),
    );
    this.#seats = seats;
    this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }
}
