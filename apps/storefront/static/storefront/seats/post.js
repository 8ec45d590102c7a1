// Sends a form for its answer as JSON: where to go on, or why not.

import { say } from "./words.js";

/** Returns `{location}` or `{error: {code, message, data}}`; `code` is OFFLINE if nobody answered. */
export async function post(url, body) {
  let response;
  try {
    response = await fetch(url, {
      method: "POST",
      headers: { Accept: "application/json", "X-CSRFToken": body.get("csrfmiddlewaretoken") },
      body: new URLSearchParams(body),
    });
  } catch {
    return { error: { code: "OFFLINE", message: say("offline"), data: {} } };
  }
  try {
    const answer = await response.json();
    return response.ok ? answer : { error: answer };
  } catch {
    return { error: { code: "FAILED", message: say("failed"), data: {} } };
  }
}
