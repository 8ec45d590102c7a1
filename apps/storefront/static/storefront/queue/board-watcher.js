// Looks at the public board of the waiting room, which any cache may serve, between two answers about the place: to count down, and
// to notice what staff change while there is no place yet.

import { fetchInTime } from "../fetching.js";
import { Alarm } from "./alarm.js";

// An answer of the board is at most this old, so one that is asked for this much later counts no visitor twice.
const AGE = 2_500; // ms
const COUNTING_PAUSE = 5_000; // ms
const OFFLINE = "WITHDRAWN"; // what the status answer says of a room that has no public board for the time being
const WATCHING_PAUSE = [20_000, 30_000]; // ms, at random between: a crowd is to hear of an early opening, not all at once

export class BoardWatcher {
  #alarm;
  #opensAt;
  #start;

  /**
   * Counting tells `onPlace(people_ahead)` and `onState(state, pause_reason)`, while the page can be seen; watching tells `onChange()`. Both tell
   * `onNotice(notice)`, and neither looks if a better answer is near.
   */
  constructor({ url, workerUrl, isWorthIt, onPlace, onState, onNotice, onChange }) {
    Object.assign(this, { url, isWorthIt, onPlace, onState, onNotice, onChange });
    this.#alarm = new Alarm(workerUrl, () => this.#look());
  }

  /** Count from here: what the status answer said. */
  countFrom(peopleAhead) {
    this.#begin({ peopleAhead, admitted: undefined });
  }

  /** There is no place yet, and `state` is what the status answer said of the room. */
  watch(state) {
    this.#begin({ state });
  }

  stop() {
    this.#alarm.clear();
    this.#start = undefined;
  }

  #begin(start) {
    this.#start = start;
    this.#alarm.set(AGE);
  }

  async #look() {
    const start = this.#start;
    const isWatching = start.state !== undefined;
    const isWanted = (isWatching || !document.hidden) && navigator.onLine && this.isWorthIt();
    const board = isWanted ? await this.#ask() : undefined;
    if (start !== this.#start) return;
    const [least, most] = WATCHING_PAUSE;
    this.#alarm.set(isWatching ? least + Math.random() * (most - least) : COUNTING_PAUSE);
    if (!board) return;
    if (board.state !== OFFLINE) this.onNotice(board[`notice_${document.documentElement.lang}`]);
    if (isWatching) this.#compare(board);
    else if (board.state !== OFFLINE) this.#count(board);
  }

  async #ask() {
    try {
      const response = await fetchInTime(this.url, { headers: { Accept: "application/json" } });
      if (response.status === 404) return { state: OFFLINE };
      return response.ok ? (await response.json()).data : undefined;
    } catch {
      return undefined; // The next look, or the next answer, will do.
    }
  }

  #compare({ state, opens_at: opensAt = this.#opensAt }) {
    const isMoved = this.#opensAt !== undefined && opensAt !== this.#opensAt;
    const isAnnounced = this.#start.state === "SCHEDULED" && state === "OPEN" && opensAt === this.#opensAt;
    this.#opensAt = opensAt;
    // For the opening that was announced, the server has advised when to ask: it spreads a large crowd further than we do.
    if (isMoved || (state !== this.#start.state && !isAnnounced)) this.onChange();
  }

  #count({ admitted_total: admitted, state, pause_reason: pauseReason }) {
    this.#start.admitted ??= admitted;
    this.onState(state, pauseReason);
    const passed = admitted - this.#start.admitted;
    // Less than nothing has passed if the room was lost; the next answer will tell.
    if (passed > 0) this.onPlace(Math.max(0, this.#start.peopleAhead - passed));
  }
}
