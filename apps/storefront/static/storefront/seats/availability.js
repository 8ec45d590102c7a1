// Asks which seats are free, every other second while somebody looks.

const PAUSE = 2_000; // ms
const LONGEST_PAUSE = 30_000;

export class Availability {
  #etag;
  #failures = 0;
  #timer;
  #isAsking = false;

  /** `onLetters(text, askedAt)`, `onStale(isStale)`, `onRefused(status, code)`: this visit is over. */
  constructor({ url, onLetters, onStale, onRefused }) {
    Object.assign(this, { url, onLetters, onStale, onRefused });
    document.addEventListener("visibilitychange", () => !document.hidden && this.ask());
    window.addEventListener("online", () => this.ask());
  }

  /** Ask regularly from now on; the page has just been told. */
  start() {
    this.#timer = setTimeout(() => (document.hidden ? undefined : this.ask()), PAUSE);
  }

  /** Ask now, and go on as before. */
  async ask() {
    if (this.#isAsking || this.isStopped) return;
    clearTimeout(this.#timer);
    this.#isAsking = true;
    let pause = PAUSE;
    try {
      pause = await this.#askOnce();
    } catch {
      pause = this.#failed(0);
    }
    this.#isAsking = false;
    if (!this.isStopped) {
      this.#timer = setTimeout(() => (document.hidden ? undefined : this.ask()), pause);
    }
  }

  stop() {
    clearTimeout(this.#timer);
    this.isStopped = true;
  }

  async #askOnce() {
    const askedAt = performance.now();
    const headers = this.#etag ? { "If-None-Match": this.#etag } : {};
    // Not JSON: but refusals are, which tells them from pages.
    const response = await fetch(this.url, { headers: { Accept: "text/plain, application/json", ...headers } });
    if (response.ok) {
      const letters = await response.text();
      this.#etag = response.headers.get("ETag");
      this.onLetters(letters, askedAt);
    } else if ([401, 403, 404].includes(response.status)) {
      const { code } = await response.json();
      this.stop();
      this.onRefused(response.status, code);
      return 0;
    } else if (response.status !== 304) {
      return this.#failed(Number(response.headers.get("Retry-After")) * 1000 || 0);
    }
    this.#failures = 0;
    this.onStale(false);
    return PAUSE;
  }

  #failed(atLeast) {
    this.#failures += 1;
    if (this.#failures > 1) this.onStale(true);
    return Math.max(atLeast, Math.min(LONGEST_PAUSE, PAUSE * 2 ** (this.#failures - 1)));
  }
}
