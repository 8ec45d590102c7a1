// A crowd comes, stays and goes. Each user joins as one customer after the other, and asks for the place a few times.
//
// The floor is the same crowd with the same number of calls, all of them to an application that answers with nothing.

import exec from "k6/execution";
import { SharedArray } from "k6/data";
import { call, handleSummary, plan, record, playing } from "./common.js";

const logins = new SharedArray("logins", () => JSON.parse(open(plan.logins)));

export { handleSummary };
export const options = playing({ executor: "ramping-vus", startVUs: 0, stages: plan.stages, gracefulRampDown: "10s", gracefulStop: "10s" });

function counted(answer) {
  const now = exec.instance.currentTestRunDuration;
  if (answer !== null && now >= plan.plateau[0] && now < plan.plateau[1]) record("plateau", answer.timings.duration);
  return answer;
}

export default function () {
  if (plan.is_floor) {
    for (let number = 0; number <= plan.polls; number += 1) counted(call("hello", "GET", "/", [200], { keep: false }));
    return;
  }
  const number = exec.scenario.iterationInTest;
  const concert_id = plan.concerts[Math.floor(number / logins.length)];
  if (concert_id === undefined) exec.test.abort("There are no customers left who have not joined.");
  const login = logins[number % logins.length];
  const joined = counted(call("join", "POST", "/api/v1/queue/tokens", [201], { login, body: { concert_id } }));
  if (joined === null) return;
  const visit = joined.json("data.token");
  for (let poll = 0; poll < plan.polls; poll += 1) {
    counted(call("status", "GET", "/api/v1/queue/tokens/me", [200], { visit, keep: false }));
  }
}
