// One alarm, set anew whenever it is set. A worker waits if there are workers, because a tab in the background must not be late.

import { now } from "../clock.js";

// ms. A page that waits sleeps with the device, so the clock is looked at this often: after a sleep the alarm is at most so late.
const SLICE = 15_000;

export class Alarm {
  #timer;
  #worker;

  constructor(workerUrl, ring) {
    this.ring = ring;
    try {
      this.#worker = new Worker(workerUrl);
      this.#worker.addEventListener("message", () => this.#look());
      this.#worker.addEventListener("error", () => {
        this.#worker = undefined;
        this.#look();
      });
    } catch {
      // The page's own timers will do.
    }
    document.addEventListener("visibilitychange", () => this.#look());
    window.addEventListener("pageshow", () => this.#look());
  }

  set(milliseconds) {
    this.dueAt = now() + milliseconds;
    this.#wait();
  }

  clear() {
    this.dueAt = undefined;
  }

  #wait() {
    const slice = Math.min(this.dueAt - now(), SLICE);
    if (this.#worker) {
      this.#worker.postMessage(slice);
    } else {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#look(), slice);
    }
  }

  #look() {
    if (this.dueAt === undefined) return;
    if (now() < this.dueAt) {
      this.#wait();
    } else {
      this.dueAt = undefined;
      this.ring();
    }
  }
}
