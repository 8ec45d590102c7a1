// Asks for the visitor's place: not sooner than the server advises, and again and again while it cannot be reached.

import { now } from "../clock.js";
import { fetchInTime, isRefusal, pauseAfter } from "../fetching.js";
import { Alarm } from "./alarm.js";

const PAUSE = 1_000; // ms until the second attempt
const LONGEST_PAUSE = 30; // s
const REUNION = 2; // s over which a crowd comes that has the same reason to ask
const LATE = 30; // s that an answer may come later than advised: more is a browser in which this does not work

export class Poller {
  #alarm;
  #grace = Infinity; // s that may be added to the advice: more could cost the place
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

  /** Ask after so many seconds for the first time, and never more than `grace` seconds later than that. */
  begin(seconds, grace) {
    this.#grace = grace;
    this.askAfter(seconds);
    this.#vouch(seconds);
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

  #vouch(seconds) {
    window.scriptsWork?.(seconds + Math.min(LATE, this.#grace));
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
      this.#grace = place.grace_seconds ?? Infinity;
      if (place.poll_after_seconds) this.askAfter(place.poll_after_seconds);
      this.onAnswer(place);
      // Not before it is shown: what fails in this browser then has the page loaded anew.
      if (place.poll_after_seconds) this.#vouch(place.poll_after_seconds);
    } else if (isRefusal(response)) {
      this.stop();
      this.onRefused();
    } else {
      this.#failures += 1;
      const longest = Math.min(LONGEST_PAUSE, this.#grace) * 1000;
      const pause = pauseAfter(this.#failures, { first: PAUSE, longest, response });
      this.askAfter((pause / 1000) * (1 + Math.random() / 4));
      if (response) this.#vouch(pause / 1000);
      this.onTrouble(navigator.onLine ? "UNAVAILABLE" : "OFFLINE");
    }
  }
}
