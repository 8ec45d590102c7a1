// Asking the server.

const PATIENCE = 10_000; // ms

/** `fetch` that gives up after `patience` ms: an answer that never comes is an error, as one that cannot come is. */
export function fetchInTime(url, { patience = PATIENCE, ...options } = {}) {
  // Safari has `AbortSignal.timeout` only since version 16.
  const controller = window.AbortController && new AbortController();
  setTimeout(() => controller?.abort(), patience); // the body, too, may never come
  return fetch(url, { signal: controller?.signal, ...options });
}

/** Whether an answer says that a visit is over, or not this browser's: the page that the server then shows knows which. */
export function isRefusal(response) {
  return [401, 403, 404].includes(response?.status);
}

/**
 * Milliseconds until another try after so many failures in a row: `first`, and twice as long each time as far as `longest`; more
 * if the answer, where there was one, asks for it.
 */
export function pauseAfter(failures, { first, longest, response }) {
  const asked = Number(response?.headers.get("Retry-After")) * 1000 || 0;
  return Math.max(asked, Math.min(longest, first * 2 ** (failures - 1)));
}
