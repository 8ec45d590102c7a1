// Counts down between two answers with the public board of the waiting room, which any cache may serve.

const PAUSE = 5_000; // ms
// An answer of the board is at most this old, so one that is asked for this much later counts nobody twice.
const AGE = 2_500;

export class Board {
  #timer;

  /** `onPlace(people_ahead)` and `onState(state)`, while the page can be seen and no better answer is near. */
  constructor({ url, onPlace, onState, isWorthIt }) {
    Object.assign(this, { url, onPlace, onState, isWorthIt });
  }

  /** Count from here: what the status answer said. */
  countFrom(peopleAhead) {
    this.stop();
    this.start = { peopleAhead, admitted: undefined };
    this.#timer = setTimeout(() => this.#look(), AGE);
  }

  stop() {
    clearTimeout(this.#timer);
    this.start = undefined;
  }

  async #look() {
    const { start } = this;
    if (!document.hidden && navigator.onLine && this.isWorthIt()) {
      try {
        const response = await fetch(this.url, { headers: { Accept: "application/json" } });
        if (response.ok && start === this.start) this.#count((await response.json()).data);
      } catch {
        // The next look, or the next answer, will do.
      }
    }
    if (start && start === this.start) this.#timer = setTimeout(() => this.#look(), PAUSE);
  }

  #count({ admitted_total: admitted, state }) {
    if (!this.start) return;
    this.start.admitted ??= admitted;
    this.onState(state);
    const passed = admitted - this.start.admitted;
    // Less than nothing has passed if the room was lost; the next answer will tell.
    if (passed > 0) this.onPlace(Math.max(0, this.start.peopleAhead - passed));
  }
}
