// Holding seats, by either form of the page: one attempt at a time, and what an answer that never came leaves open.

import { fetchInTime } from "../fetching.js";
import { say } from "./words.js";

const READ_FOR = 5_000; // ms: a sentence that is gone at once has said nothing

export class Holding {
  #unreached; // the notice that the server was not reached, and since when it is there

  isBusy = false;
  isUncertain = false; // whether an attempt was not answered: its seats may be this customer's

  /** `onHeld(location)`; `onRefused(error)` may know better than the message of the error what to say; then `onEnd()`. */
  constructor({ onHeld, onRefused, onEnd }) {
    Object.assign(this, { onHeld, onRefused, onEnd });
  }

  /** Send a form, with the ids of these seats; `onSay(text)` shows beside it what became of it, and returns that notice. */
  async send(form, seats, onSay) {
    if (this.isBusy) return;
    this.isBusy = true;
    const button = form.querySelector('[type="submit"]');
    button.setAttribute("aria-busy", "true");
    onSay("");
    const body = new FormData(form);
    for (const seat of seats) body.append("seats", seat);
    const { location: target, error } = await post(body);
    if (target) {
      this.onHeld(target); // and the button stays busy until then
      return;
    }
    this.isBusy = false;
    button.removeAttribute("aria-busy");
    // With the same key an attempt that came through after all answers again; after a refusal there is a new one.
    if (error.code === "OFFLINE" || error.code === "FAILED") this.isUncertain = true;
    else for (const field of document.getElementsByName("key")) field.value = newKey();
    const notice = onSay(this.onRefused(error) ?? error.message);
    if (error.code === "OFFLINE") this.#unreached = { notice, at: performance.now() };
    form.querySelector('[role="alert"]').scrollIntoView({ block: "nearest" });
    this.onEnd();
  }

  /** Something else was answered: that the server cannot be reached is over. */
  reached() {
    if (!this.#unreached || performance.now() < this.#unreached.at + READ_FOR) return;
    this.#unreached.notice.remove(); // unless something else has taken its place
    this.#unreached = undefined;
  }
}

/** Returns `{location}` or `{error: {code, message, data}}`; `code` is OFFLINE if no server answered, FAILED if a stranger did. */
async function post(body) {
  let code = "OFFLINE";
  try {
    const response = await fetchInTime(location.href, {
      method: "POST",
      headers: { Accept: "application/json", "X-CSRFToken": body.get("csrfmiddlewaretoken") },
      body: new URLSearchParams(body),
    });
    code = "FAILED";
    const answer = await response.json();
    if (answer.location) return answer;
    if (answer.code) return { error: answer };
  } catch {
    // No answer, or a page of whatever stands before our server.
  }
  return { error: { code, message: say(code.toLowerCase()), data: {} } };
}

/** A random UUID. The browser makes one itself only where the connection is secure. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40; // version 4
  bytes[8] = (bytes[8] & 0x3f) | 0x80; // the variant of RFC 9562
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
