// How long the visitor may still choose, counted from what the server said and never from the visitor's clock.

const LAST_MINUTE = 60; // s

export class Lease {
  #element;
  #endsAt;
  #isWarned = false;
  #isAsking = false;

  /** `onLastMinute()` once, and `onEnd()` when the server says so. */
  constructor({ element, onLastMinute, onEnd }) {
    Object.assign(this, { onLastMinute, onEnd });
    this.#element = element;
    this.#set(Number(element.dataset.seconds));
    setInterval(() => this.#show(), 1000);
    this.#show();
  }

  #set(seconds) {
    this.#endsAt = performance.now() + seconds * 1000;
    this.#isWarned = seconds <= LAST_MINUTE;
  }

  #show() {
    const left = Math.max(0, Math.ceil((this.#endsAt - performance.now()) / 1000));
    const clock = this.#element.querySelector('[data-slot="clock"]');
    clock.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    clock.toggleAttribute("data-last-minute", left <= LAST_MINUTE);
    if (left <= LAST_MINUTE && !this.#isWarned) {
      this.#isWarned = true;
      this.onLastMinute();
    }
    if (left === 0) this.#ask();
  }

  /** It may have been prolonged from another tab: by holding seats. */
  async #ask() {
    if (this.#isAsking) return;
    this.#isAsking = true;
    try {
      const response = await fetch(this.#element.dataset.statusUrl, {
        headers: { Accept: "application/json" },
        cache: "no-store",
      });
      const { lease_seconds: left } = response.ok ? await response.json() : {};
      if (left > 0) this.#set(left);
      else if (response.status < 500) this.onEnd();
    } catch {
      // Asked again in a second.
    }
    this.#isAsking = false;
  }
}
