// Play the calls of a file with a fixed number of users: what calls.lua does, for machines without wrk.

import exec from "k6/execution";
import { SharedArray } from "k6/data";
import { call, handleSummary, plan, playing } from "./common.js";

const calls = new SharedArray("calls", () => JSON.parse(open(plan.calls)));

export { handleSummary };
export const options = playing({ executor: "constant-vus", vus: plan.users, duration: plan.duration, gracefulStop: "10s" });

export default function () {
  const number = exec.scenario.iterationInTest;
  if (plan.once && number >= calls.length) {
    exec.test.abort("There are no more calls to make.");
  }
  const { method, path, login, visit, etag, body } = calls[number % calls.length];
  call("call", method, path, plan.expected, { login, visit, etag, body: body ? JSON.parse(body) : null, keep: false });
}
