// Shows what a hold's last minute is announced with, and a button for who needs longer; takes it away when the hold is over.
//
//   data-more-time   seconds until then, as the server reckoned them; what is shown waits in the <template> before it

import { now } from "./clock.js";

const LAST_MINUTE = 60; // s
const TICK = 1_000; // ms

const offers = [...document.querySelectorAll("[data-more-time]")].map((place) => ({
  place,
  endsAt: now() + Number(place.dataset.moreTime) * 1000,
}));

function tick() {
  for (const { place, endsAt } of offers) {
    const left = (endsAt - now()) / 1000;
    if (left <= 0) place.replaceChildren();
    else if (left <= LAST_MINUTE && !place.hasChildNodes()) {
      place.append(place.previousElementSibling.content.cloneNode(true));
    }
  }
}

if (offers.length > 0) {
  tick();
  setInterval(tick, TICK);
}
