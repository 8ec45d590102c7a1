// Asks for the visitor's place: never sooner than the server advises, and again and again while it cannot be reached.

import { Alarm } from "./alarm.js";

const PATIENCE = 10_000; // ms for one answer
const LONGEST_PAUSE = 30; // s between attempts
const REUNION = 2_000; // ms over which a crowd that was cut off together comes back

export class Poller {
  #alarm;
  #failures = 0;
  #isAsking = false;

  /** `onAnswer(place)`, `onTrouble("OFFLINE" | "UNAVAILABLE")`, `onRefused()`: the place is not ours any more. */
  constructor({ url, workerUrl, onAnswer, onTrouble, onRefused }) {
    Object.assign(this, { url, onAnswer, onTrouble, onRefused });
    this.#alarm = new Alarm(workerUrl, () => this.#ask());
    document.addEventListener("visibilitychange", () => this.#alarm.ringIfOverdue());
    window.addEventListener("pageshow", () => this.#alarm.ringIfOverdue());
    window.addEventListener("offline", () => this.onTrouble("OFFLINE"));
    window.addEventListener("online", () => {
      if (this.#failures) this.askAfter((Math.random() * REUNION) / 1000);
    });
  }

  get secondsLeft() {
    return this.#alarm.dueAt === undefined ? 0 : (this.#alarm.dueAt - performance.now()) / 1000;
  }

  askAfter(seconds) {
    this.#alarm.set(seconds * 1000);
  }

  stop() {
    this.#alarm.clear();
    this.isStopped = true;
  }

  async #ask() {
    if (this.#isAsking || this.isStopped) return;
    this.#isAsking = true;
    try {
      const response = await fetch(this.url, {
        headers: { Accept: "application/json" },
        cache: "no-store",
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (response.ok) {
        const place = await response.json();
        this.#failures = 0;
        if (place.poll_after_seconds) this.askAfter(place.poll_after_seconds);
        this.onAnswer(place);
      } else if (response.status === 403 || response.status === 404) {
        this.stop();
        this.onRefused();
      } else {
        this.#tryAgain("UNAVAILABLE", Number(response.headers.get("Retry-After")) || 0);
      }
    } catch {
      this.#tryAgain(navigator.onLine ? "UNAVAILABLE" : "OFFLINE", 0);
    } finally {
      this.#isAsking = false;
    }
  }

  #tryAgain(trouble, atLeast) {
    const pause = Math.min(LONGEST_PAUSE, 2 ** this.#failures);
    this.#failures += 1;
    this.askAfter(Math.max(atLeast, pause) * (1 + Math.random() / 4));
    this.onTrouble(trouble);
  }
}
