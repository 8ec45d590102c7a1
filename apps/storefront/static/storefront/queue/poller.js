// Asks for the visitor's place: not sooner than the server advises, and again and again while it cannot be reached.

import { now } from "../clock.js";
import { fetchInTime } from "../fetching.js";
import { Alarm } from "./alarm.js";

const LONGEST_PAUSE = 30; // s between attempts
const REUNION = 2; // s over which a crowd comes that has the same reason to ask

export class Poller {
  #alarm;
  #failures = 0;
  #isAsking = false;
  #isStopped = false;

  /** `onAnswer(place)`, `onTrouble("OFFLINE" | "UNAVAILABLE")`, `onRefused()`: the place is not ours any more. */
  constructor({ url, workerUrl, onAnswer, onTrouble, onRefused }) {
    Object.assign(this, { url, onAnswer, onTrouble, onRefused });
    this.#alarm = new Alarm(workerUrl, () => this.#ask());
    window.addEventListener("online", () => this.askSoon());
    window.addEventListener("offline", () => {
      if (!this.#isStopped) this.onTrouble("OFFLINE");
    });
  }

  get secondsLeft() {
    return this.#alarm.dueAt === undefined ? 0 : (this.#alarm.dueAt - now()) / 1000;
  }

  askAfter(seconds) {
    if (!this.#isStopped) this.#alarm.set(seconds * 1000);
  }

  /** For news that many have at the same moment. */
  askSoon() {
    this.askAfter(Math.random() * REUNION);
  }

  stop() {
    this.#alarm.clear();
    this.#isStopped = true;
  }

  async #ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    let response, place;
    try {
      response = await fetchInTime(this.url, {
        headers: { Accept: "application/json" },
        cache: "no-store",
      });
      if (response.ok) place = await response.json();
    } catch {
      // As good as no answer.
    }
    this.#isAsking = false;
    if (place) {
      this.#failures = 0;
      if (place.poll_after_seconds) this.askAfter(place.poll_after_seconds);
      this.onAnswer(place);
    } else if (response?.status === 403 || response?.status === 404) {
      this.stop();
      this.onRefused();
    } else {
      this.#tryAgain(Number(response?.headers.get("Retry-After")) || 0);
    }
  }

  #tryAgain(atLeast) {
    const pause = Math.min(LONGEST_PAUSE, 2 ** this.#failures);
    this.#failures += 1;
    this.askAfter(Math.max(atLeast, pause) * (1 + Math.random() / 4));
    this.onTrouble(navigator.onLine ? "UNAVAILABLE" : "OFFLINE");
  }
}
