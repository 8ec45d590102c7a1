// Counts how long the visitor may still choose: counted from what the server said and never from the visitor's clock.

import { clock, now } from "../clock.js";
import { fetchInTime, isRefusal, pauseAfter } from "../fetching.js";
import { say } from "./words.js";

const LAST_MINUTE = 60; // s
const PAUSE = 3_000; // ms until asking again after the first failure, and twice as long after each further one
const LONGEST_PAUSE = 30_000;

export class Lease {
  #clock;
  #notice;
  #statusUrl;
  #endsAt;
  #askAt = 0;
  #failures = 0;
  #timer;

  /** `onEnd()` when the server says so. */
  constructor({ element, onEnd }) {
    this.onEnd = onEnd;
    this.#clock = element.querySelector('[data-slot="clock"]');
    this.#notice = element.querySelector('[data-slot="last-minute"]');
    this.#statusUrl = element.dataset.statusUrl;
    this.#set(Number(element.dataset.seconds));
    this.#timer = setInterval(() => this.#show(), 1000);
    this.#show();
  }

  #set(seconds) {
    this.#endsAt = now() + seconds * 1000;
    this.#askAt = 0;
    this.#failures = 0;
  }

  #show() {
    const left = Math.max(0, Math.ceil((this.#endsAt - now()) / 1000));
    this.#clock.textContent = clock(left);
    const isLastMinute = left <= LAST_MINUTE;
    if (isLastMinute !== this.#clock.hasAttribute("data-last-minute")) {
      this.#clock.toggleAttribute("data-last-minute", isLastMinute);
      this.#notice.textContent = isLastMinute ? say("lastMinute") : "";
    }
    if (left === 0 && now() >= this.#askAt) this.#ask();
  }

  /** It may have been prolonged from another tab: by holding seats. */
  async #ask() {
    this.#askAt = Infinity; // until this is answered
    let response, place;
    try {
      response = await fetchInTime(this.#statusUrl, {
        headers: { Accept: "application/json" },
        cache: "no-store",
      });
      if (response.ok) place = await response.json();
    } catch {
      // As good as no answer.
    }
    if (place?.lease_seconds > 0) {
      this.#set(place.lease_seconds);
    } else if (place || isRefusal(response)) {
      this.#end();
    } else {
      this.#failures += 1;
      this.#askAt =
        now() + pauseAfter(this.#failures, { first: PAUSE, longest: LONGEST_PAUSE, response });
    }
  }

  #end() {
    clearInterval(this.#timer);
    this.onEnd();
  }
}
