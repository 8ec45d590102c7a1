// Many customers ask for a seat at the same moment: all for one seat, or each for another.

import exec from "k6/execution";
import { sleep } from "k6";
import { SharedArray } from "k6/data";
import { call, handleSummary, plan, record, playing } from "./common.js";

const visits = new SharedArray("visits", () => JSON.parse(open(plan.visits)));

export { handleSummary };
export const options = playing({ executor: "per-vu-iterations", vus: visits.length, iterations: 1, maxDuration: plan.longest });

export default function () {
  const { login, visit, seat } = visits[exec.vu.idInTest - 1];
  // Connected before the start, as customers are who have looked at the seats.
  call("connect", "GET", "/livez", [200]);
  const early = plan.start_after - exec.instance.currentTestRunDuration;
  if (early > 0) sleep(early / 1000);
  const answer = call("hold", "POST", "/api/v1/holds", [201, 409], {
    login,
    visit,
    body: { performance_id: plan.performance, seat_ids: [seat] },
  });
  if (answer === null) return;
  if (answer.status === 201) {
    record("won", answer.timings.duration);
  } else {
    const code = answer.json("code");
    record(code === "SEAT_ALREADY_HELD" ? "lost" : "odd", answer.timings.duration);
  }
}
