// Calls of Encore's API, counted: those that did their work by step, with their times, and the others by the code of the refusal.

import http from "k6/http";
import { Counter, Trend } from "k6/metrics";

export const plan = JSON.parse(open(__ENV.PLAN));
// Return the options of a script whose users play one scenario.
export const playing = (scenario) => ({
  scenarios: { users: scenario },
  summaryTrendStats: ["count", "avg", "med", "p(95)", "p(99)", "max"],
});

const times = Object.fromEntries(plan.steps.map((step) => [step, new Trend(`step_${step}`, true)]));
const refusals = Object.fromEntries(plan.codes.map((code) => [code, new Counter(`refused_${code}`)]));
const silences = new Counter("refused_NO_ANSWER");
const others = new Counter("refused_OTHER");

// Make a call; return its answer if its status is one of `expected`, else null after counting the refusal.
export function call(step, method, path, expected, { login, scheme = "Bearer", visit, key, body, etag, keep = true } = {}) {
  const headers = {};
  if (login) headers.Authorization = `${scheme} ${login}`;
  if (visit) headers["Queue-Token"] = visit;
  if (key) headers["Idempotency-Key"] = key;
  if (etag) headers["If-None-Match"] = etag;
  if (body) headers["Content-Type"] = "application/json";
  const options = { headers, responseType: keep ? "text" : "none", timeout: "60s" };
  const answer = http.request(method, plan.base + path, body ? JSON.stringify(body) : null, options);
  if (expected.includes(answer.status)) {
    times[step].add(answer.timings.duration);
    return answer;
  }
  refuse(answer, step);
  return null;
}

function refuse(answer, step) {
  if (answer.status === 0) {
    silences.add(1);
    return;
  }
  let code;
  try {
    code = answer.json("code");
  } catch {
    code = null; // not JSON, or the body was not kept
  }
  (refusals[code] || others).add(1);
  if (refusals[code] === undefined) {
    console.error(`${step}: HTTP ${answer.status} ${String(answer.body).slice(0, 200)}`);
  }
}

export function record(step, milliseconds) {
  times[step].add(milliseconds);
}

export function handleSummary(data) {
  return { [__ENV.REPORT]: JSON.stringify({ metrics: data.metrics, state: data.state }) };
}
