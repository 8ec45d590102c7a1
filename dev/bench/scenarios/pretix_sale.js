// Customers buy a ticket each at pretix: reserve it in a cart, turn the cart into a paid order. They come through its REST API.

import exec from "k6/execution";
import { call, handleSummary, plan, playing } from "./common.js";

export { handleSummary };
export const options = playing({ executor: "shared-iterations", vus: plan.users, iterations: plan.sales, maxDuration: plan.longest });

const access = { login: plan.token, scheme: "Token" };

export default function () {
  const cart_id = `${plan.run}-${exec.scenario.iterationInTest}@api`;
  const held = call("hold", "POST", `${plan.event}/cartpositions/`, [201], {
    ...access,
    body: { cart_id, item: plan.item, price: plan.price },
  });
  if (held === null) return;
  call("pay", "POST", `${plan.event}/orders/`, [201], {
    ...access,
    body: {
      status: "p",
      payment_provider: "manual",
      email: "customer@encore.example",
      locale: "en",
      consume_carts: [cart_id],
      positions: [{ item: plan.item }],
      send_email: false,
      simulate: false,
    },
  });
}
