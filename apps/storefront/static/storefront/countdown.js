// Counts down every element with data-seconds, a number of seconds that the server reckoned: the visitor's clock is not asked.
//
//   data-announce   told once to screen readers when the last minute begins
//   data-done       the text at zero: of the closest ancestor with data-done-part if there is one, else of the element
//   data-reload     at zero: load the page anew
//   data-location   at zero: go there instead
//   data-spread     at zero: wait up to so many seconds first, so that a crowd does not come in the same instant

import { clock, now, slept } from "./clock.js";

const MINUTE = 60;
const LEAST_WAIT = 1000; // ms; a page that says zero again must not make a loop of it

const began = now();
const countdowns = [...document.querySelectorAll("[data-seconds]")].flatMap((element) => {
  const seconds = Number.parseFloat(element.dataset.seconds);
  return Number.isFinite(seconds) && seconds > 0 ? [{ element, seconds, isOver: false }] : [];
});

let announcer = null;
let timer = 0;

function announce(text) {
  announcer.textContent = text;
}

function renewPage() {
  // Not location.reload(): that would send a form again if this page answers one.
  location.replace(location.pathname + location.search);
}

function finish({ element }) {
  const { done, location: target, reload, spread } = element.dataset;
  if (done) (element.closest("[data-done-part]") ?? element).textContent = done;
  if (target === undefined && reload === undefined) return;
  const wait = LEAST_WAIT + Math.random() * 1000 * (Number.parseFloat(spread) || 0);
  setTimeout(() => (target ? location.assign(target) : renewPage()), wait);
}

function tick() {
  clearTimeout(timer);
  const passed = (now() - began) / 1000;
  let next = Infinity;
  for (const countdown of countdowns) {
    if (countdown.isOver) continue;
    const { element } = countdown;
    const left = countdown.seconds - passed;
    if (!element.hidden) element.textContent = clock(left);
    if (left <= MINUTE && !("lastMinute" in element.dataset)) {
      element.dataset.lastMinute = "";
      if (element.dataset.announce && left > 1) announce(element.dataset.announce);
    }
    if (left <= 0) {
      countdown.isOver = true;
      finish(countdown);
    } else {
      // When the last second shown is over: no drift, and no two changes in one second.
      next = Math.min(next, left - Math.ceil(left) + 1);
    }
  }
  if (next < Infinity) timer = setTimeout(tick, next * 1000 + 5);
}

function catchUp() {
  if (document.visibilityState === "hidden") return;
  // How long a sleep was, the visitor's clock says; where it matters, the server knows better.
  const asksServer = countdowns.some(({ element }) => "reload" in element.dataset || element.dataset.location);
  if (slept() > 0 && asksServer) renewPage();
  else tick();
}

if (countdowns.length > 0) {
  announcer = document.createElement("div");
  announcer.className = "visually-hidden";
  announcer.setAttribute("role", "status");
  document.body.append(announcer);
  document.addEventListener("visibilitychange", catchUp);
  addEventListener("pageshow", catchUp);
  tick();
}
