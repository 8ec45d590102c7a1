// Shows a place on the page. A number that was shown never grows, as long as it is the same visit.

import { clock, now } from "../clock.js";

const QUIET = 30_000; // ms between two announcements, unless something changes that matters
const MOVED = 30_000; // ms; less than that is a slow answer
const IS_TROUBLE = new Set(["OFFLINE", "UNAVAILABLE"]);

const fill = (pattern, values) => pattern.replace(/\{(\w+)\}/g, (_, name) => values[name]);

export class View {
  #root;
  #title = document.title;
  #announcedAt = -Infinity;
  #ahead = Infinity;
  #firstPosition;
  #opensAt;
  #opening;
  #state;

  constructor(root) {
    this.#root = root;
    this.#state = root.dataset.state;
  }

  showPlace(place) {
    this.#showReason(place.pause_reason);
    this.showNotice(place.notice);
    this.#showState(place.state);
    if (place.first_position !== this.#firstPosition) this.#beginVisit(place.first_position);
    if (place.people_ahead !== null) this.showAhead(place.people_ahead);
    this.#show("wait", Boolean(place.wait));
    this.#slot("wait").textContent = place.wait ?? "";
    this.#countToOpening(place.state === "SCHEDULED" ? place.opens_in_seconds : undefined);
    this.#show("blank", this.#ahead === Infinity && place.state === "OPEN");
    this.#announceFigures();
  }

  showAhead(peopleAhead) {
    this.#ahead = Math.min(this.#ahead, peopleAhead);
    const { dataset } = this.#root;
    const number = this.#ahead.toLocaleString(document.documentElement.lang);
    this.#slot("ahead").textContent = number;
    this.#slot("label").textContent =
      this.#ahead === 0
        ? dataset.noneAhead
        : this.#ahead === 1
          ? dataset.oneAhead
          : dataset.manyAhead;
    const way = this.#slot("progress");
    way.max = this.#firstPosition;
    way.value = way.max - this.#ahead;
    this.#show("ahead", true);
    this.#show("blank", false);
    document.title = `(${number}) ${this.#title}`;
  }

  showState(state, pauseReason) {
    this.#showReason(pauseReason);
    if (!IS_TROUBLE.has(this.#state)) this.#showState(state);
  }

  showNotice(notice) {
    const slot = this.#slot("notice");
    if (slot.textContent === notice) return;
    slot.textContent = notice;
    slot.hidden = !notice;
    if (notice) this.#announce(notice);
  }

  showTrouble(trouble) {
    this.#showState(trouble);
  }

  showTurn() {
    const { dataset } = this.#root;
    this.#countToOpening(undefined);
    this.#showState("ACTIVE");
    document.title = dataset.turnTitle;
    document.querySelector('link[rel="icon"]').href = dataset.turnIcon;
  }

  #beginVisit(firstPosition) {
    this.#firstPosition = firstPosition;
    this.#ahead = Infinity;
    this.#show("ahead", false);
    document.title = this.#title;
  }

  #showReason(pauseReason) {
    for (const slot of this.#root.querySelectorAll('[data-slot="pause-reason"]')) {
      slot.textContent = pauseReason;
    }
  }

  #showState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#root.dataset.state = state;
    for (const sentence of this.#root.querySelectorAll("[data-when]")) {
      sentence.hidden = sentence.dataset.when !== state;
      if (!sentence.hidden) this.#announce(sentence.textContent);
    }
  }

  #countToOpening(seconds) {
    clearInterval(this.#opening);
    this.#show("opening", seconds !== undefined);
    if (seconds === undefined) return;
    const opensAt = now() + seconds * 1000;
    // The answer tells how long it is, not which day that is at the venue.
    if (Math.abs(opensAt - this.#opensAt) > MOVED) this.#slot("opening-date")?.remove();
    this.#opensAt = opensAt;
    this.#showOpening();
    this.#opening = setInterval(() => this.#showOpening(), 1000);
  }

  #showOpening() {
    const left = (this.#opensAt - now()) / 1000;
    const label = this.#slot("opening-label");
    this.#slot("opening").textContent = clock(left);
    label.textContent = left > 0 ? label.dataset.counting : label.dataset.over;
    document.title = left > 0 ? `(${clock(left)}) ${this.#title}` : this.#title;
  }

  #announceFigures() {
    const isQuiet = this.#ahead > 0 && now() < this.#announcedAt + QUIET; // who is next hears it at once
    if (this.#ahead === Infinity || isQuiet) return;
    const { noneAhead, sayOne, sayMany, sayWait } = this.#root.dataset;
    const [number, wait] = ["ahead", "wait"].map((name) => this.#slot(name).textContent);
    const place =
      this.#ahead === 0 ? noneAhead : fill(this.#ahead === 1 ? sayOne : sayMany, { number });
    this.#announce(wait ? fill(sayWait, { place, wait }) : place);
  }

  #announce(sentence) {
    const news = this.#slot("news");
    const text = sentence.trim();
    if (news.textContent === text) return;
    news.textContent = text;
    this.#announcedAt = now();
  }

  #show(part, isShown) {
    this.#root.querySelector(`[data-part="${part}"]`).hidden = !isShown;
  }

  #slot(name) {
    return this.#root.querySelector(`[data-slot="${name}"]`);
  }
}
