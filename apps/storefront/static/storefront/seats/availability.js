// Asks which seats are free, every other second while somebody looks.

import { fetchInTime } from "../fetching.js";

const PAUSE = 2_000; // ms
const LONGEST_PAUSE = 15_000;
const STALE_AFTER = 3_500; // ms without an answer: one that fails is no news yet

export class Availability {
  #etag;
  #heardAt = performance.now();
  #failures = 0;
  #timer;
  #isAsking = false;
  #isStopped = false;

  /** `onLetters(text, askedAt)`, `onStale(isStale)`, `onRefused()`: this visit is over. */
  constructor({ url, onLetters, onStale, onRefused }) {
    Object.assign(this, { url, onLetters, onStale, onRefused });
    document.addEventListener("visibilitychange", () => !document.hidden && this.ask());
    window.addEventListener("online", () => this.ask());
  }

  /** Ask regularly from now on; the page has just been told. */
  start() {
    this.#askAfter(PAUSE);
  }

  /** Ask now, and go on as before. */
  async ask() {
    if (this.#isAsking || this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#isAsking = true;
    let pause = PAUSE;
    try {
      pause = await this.#askOnce();
    } catch {
      pause = this.#failed(0);
    }
    this.#isAsking = false;
    if (!this.#isStopped) this.#askAfter(pause);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#isStopped = true;
  }

  #askAfter(pause) {
    this.#timer = setTimeout(() => (document.hidden ? undefined : this.ask()), pause);
  }

  async #askOnce() {
    const askedAt = performance.now();
    const headers = this.#etag ? { "If-None-Match": this.#etag } : {};
    const response = await fetchInTime(this.url, { headers });
    if (response.ok) {
      const letters = await response.text();
      this.#etag = response.headers.get("ETag");
      this.onLetters(letters, askedAt);
    } else if ([401, 403, 404].includes(response.status)) {
      this.stop();
      this.onRefused();
      return 0;
    } else if (response.status !== 304) {
      return this.#failed(Number(response.headers.get("Retry-After")) * 1000 || 0);
    }
    this.#failures = 0;
    this.#heardAt = performance.now();
    this.onStale(false);
    return PAUSE;
  }

  #failed(atLeast) {
    if (performance.now() - this.#heardAt > STALE_AFTER) this.onStale(true);
    this.#failures += 1;
    return Math.max(atLeast, Math.min(LONGEST_PAUSE, PAUSE * 2 ** (this.#failures - 1)));
  }
}
