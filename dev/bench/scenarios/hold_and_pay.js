// Customers who have been admitted buy a seat each: hold it, pay for it.

import exec from "k6/execution";
import { SharedArray } from "k6/data";
import { call, handleSummary, plan, playing } from "./common.js";

const visits = new SharedArray("visits", () => JSON.parse(open(plan.visits)));

export { handleSummary };
export const options = playing({ executor: "shared-iterations", vus: plan.users, iterations: visits.length, maxDuration: plan.longest });

export default function () {
  const { login, visit, seat } = visits[exec.scenario.iterationInTest];
  const held = call("hold", "POST", "/api/v1/holds", [201], {
    login,
    visit,
    key: `hold-${plan.run}-${seat}`,
    body: { performance_id: plan.performance, seat_ids: [seat] },
  });
  if (held === null) return;
  const hold_id = held.json("data.hold_id");
  call("pay", "POST", "/api/v1/reservations", [201], { login, visit, key: `pay-${plan.run}-${seat}`, body: { hold_id } });
}
