// An on-sale from the door to the last seat. Each user is a customer who joins, polls as advised, looks at the hall, holds a seat
// that looks free and pays for it; then comes again for another one, until there is none or the limit is reached.

import exec from "k6/execution";
import { sleep } from "k6";
import { Counter } from "k6/metrics";
import { SharedArray } from "k6/data";
import { call, handleSummary, plan, playing } from "./common.js";

const logins = new SharedArray("logins", () => JSON.parse(open(plan.logins)));
const seats = new SharedArray("seats", () => JSON.parse(open(plan.seats)));
const expired = new Counter("counted_expired");
const turnedAway = new Counter("counted_turned_away");

export { handleSummary };
export const options = playing({ executor: "per-vu-iterations", vus: logins.length, iterations: 1, maxDuration: plan.longest });

const API = "/api/v1";
const ATTEMPTS = 10;

export default function () {
  const login = logins[exec.vu.idInTest - 1];
  let bought = 0;
  let hasJustBought = false;
  let knowsMap = false;
  while (bought < plan.limit) {
    const visit = awaitTurn(login, bought > 0, hasJustBought);
    if (visit === null) return;
    if (!knowsMap) {
      knowsMap = call("map", "GET", `${API}/performances/${plan.performance}/seat-map`, [200], { login, visit, keep: false }) !== null;
    }
    const { hold_id, isSoldOut } = holdOne(login, visit);
    if (isSoldOut) {
      turnedAway.add(1);
      // Counted by address, of which a generator has one: most of these are refused, and the body says so.
      call("leave", "DELETE", `${API}/queue/tokens/me`, [200], { visit });
      return;
    }
    hasJustBought = false; // without a sale the turn goes on
    if (hold_id) {
      const key = `pay-${hold_id}`;
      const paid = call("pay", "POST", `${API}/reservations`, [201], { login, visit, key, body: { hold_id }, keep: false });
      hasJustBought = paid !== null;
      bought += hasJustBought ? 1 : 0;
    }
  }
}

// Return the queue token of a visitor whose turn it is, or null if it never is.
function awaitTurn(login, hasBought, hasJustBought) {
  const step = hasBought ? "rejoin" : "join";
  const join = () => call(step, "POST", `${API}/queue/tokens`, [201, 200], { login, body: { concert_id: plan.concert } });
  let joined = join();
  // The visit in which the last seat was bought ends a moment after the sale.
  while (hasJustBought && joined !== null && joined.status === 200) {
    sleep(1);
    joined = join();
  }
  let seen = joined && joined.json("data");
  while (seen && seen.status === "WAITING") {
    sleep(seen.poll_after_seconds);
    const answer = call("status", "GET", `${API}/queue/tokens/me`, [200], { visit: seen.token });
    seen = answer && answer.json("data");
  }
  if (seen && seen.status === "EXPIRED") expired.add(1);
  return seen && seen.status === "ACTIVE" ? seen.token : null;
}

// Hold one of the free seats, chosen at random; neither a hold nor sold out means that the turn is over.
function holdOne(login, visit) {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const answer = call("availability", "GET", `${API}/performances/${plan.performance}/availability`, [200], { login, visit });
    if (answer === null) return {};
    const free = indexOfFree(answer.json("data.statuses"));
    if (free < 0) return { isSoldOut: true };
    const body = { performance_id: plan.performance, seat_ids: [seats[free]] };
    const held = call("hold", "POST", `${API}/holds`, [201], { login, visit, body });
    if (held !== null) return { hold_id: held.json("data.hold_id") };
  }
  return {};
}

function indexOfFree(statuses) {
  const from = Math.floor(Math.random() * statuses.length);
  const found = statuses.indexOf("A", from);
  return found < 0 ? statuses.indexOf("A") : found;
}
