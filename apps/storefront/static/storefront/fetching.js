// Asking the server.

const PATIENCE = 10_000; // ms

/** `fetch` that gives up: an answer that never comes is an error, as one that cannot come is. */
export function fetchInTime(url, options = {}) {
  return fetch(url, { signal: AbortSignal.timeout(PATIENCE), ...options });
}
