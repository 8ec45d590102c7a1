// Asks which seats are free, every other second while the page is visible.

import { fetchInTime, isRefusal, pauseAfter } from "../fetching.js";

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
    const askedAt = performance.now();
    let response, letters;
    try {
      response = await fetchInTime(this.url, {
        headers: this.#etag ? { "If-None-Match": this.#etag } : {},
      });
      if (response.ok) letters = await response.text();
    } catch {
      // As good as no answer.
    }
    this.#isAsking = false;
    if (this.#isStopped) return;
    if (isRefusal(response)) {
      this.stop();
      this.onRefused();
    } else if (letters !== undefined || response?.status === 304) {
      this.#failures = 0;
      this.#heardAt = performance.now();
      this.#askAfter(PAUSE);
      if (letters !== undefined) {
        this.#etag = response.headers.get("ETag");
        this.onLetters(letters, askedAt);
      }
      this.onStale(false);
    } else {
      this.#failures += 1;
      this.#askAfter(
        pauseAfter(this.#failures, { first: PAUSE, longest: LONGEST_PAUSE, response }),
      );
      if (performance.now() - this.#heardAt > STALE_AFTER) this.onStale(true);
    }
  }

  stop() {
    clearTimeout(this.#timer);
    this.#isStopped = true;
  }

  #askAfter(pause) {
    this.#timer = setTimeout(() => (document.hidden ? undefined : this.ask()), pause);
  }
}
