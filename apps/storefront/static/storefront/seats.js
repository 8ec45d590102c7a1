// The seat map: draws the hall, keeps it up to date, and holds what the customer chooses. Without it the server chooses.

import { fetchInTime, isRefusal } from "./fetching.js";
import { Availability } from "./seats/availability.js";
import { Camera, FIT_LARGEST } from "./seats/camera.js";
import { Drawing, PITCH } from "./seats/drawing.js";
import { FREE, Hall } from "./seats/hall.js";
import { Lease } from "./seats/lease.js";
import { SeatList } from "./seats/list.js";
import { Holding } from "./seats/post.js";
import { Selection } from "./seats/selection.js";
import { Tray, warn } from "./seats/tray.js";
import { figure, say } from "./seats/words.js";

const TAPPABLE_FROM = 18; // px for each seat: below it a finger first zooms in
const CLICKABLE_FROM = 5; // the same for a mouse
const TAP_SCALE = 32;
const MAP_PATIENCE = 60_000; // ms: a large hall over a slow network
const RETRY = 3_000; // ms
const LEAST_STAY = 2_000; // ms: a page that is refused at once, again and again, must not make a loop of it
const STALE_FOR = 1_500; // ms that an answer about seats may be older than a refusal
const ARROWS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

const root = document.getElementById("seats");
const view = document.getElementById("map");
const part = (name) => document.querySelector(`[data-part="${name}"]`);
const slot = (name) => document.querySelector(`[data-slot="${name}"]`);

const lost = new Map(); // seats that another customer has, and when we heard of it
let availability;
let holding;
let isLeaving = false;
let cursor;
let hovered;

window.scriptsWork?.(MAP_PATIENCE / 1000);
announceTurn();
showCurrentDate();
// A page that comes back from the browser's memory knows neither what was held meanwhile nor how much time is left.
addEventListener("pageshow", ({ persisted }) => persisted && location.reload());
const [map, letters] = await Promise.all([
  fetchUntilItComes(root.dataset.mapUrl, "json", MAP_PATIENCE),
  fetchUntilItComes(root.dataset.availabilityUrl, "text"),
]);
showStale(false);

const own = JSON.parse(document.getElementById("own-seats").textContent);
const hall = new Hall(map, own);
hall.update(letters);
const selection = new Selection(Number(root.dataset.limit));
const drawing = new Drawing(hall);
drawing.drawAll();
shapeView();
const camera = new Camera({ view, drawing, seats: hall.size, onTap: tap, onHover: hover, onMove: placeTip });
const list = new SeatList({ root: part("list"), hall, selection, onToggle: toggle });
holding = new Holding({ onHeld: leave, onRefused, onEnd: loseTaken });
const form = document.getElementById("hold");
const tray = new Tray({
  form,
  hall,
  selection,
  rules: { singleSeats: root.dataset.singleSeats, priceLimit: Number(root.dataset.priceLimit) },
  onHold: () => holding.send(form, selection.seats.map((seat) => hall.id(seat)), (text) => tray.say(text)),
  onRemove: toggle,
  onEmpty: () => view.focus(),
});
showLeft();
selection.addEventListener("change", ({ detail }) => {
  drawing.mark(selection.seats);
  list.update(detail);
});
availability = new Availability({
  url: root.dataset.availabilityUrl,
  onLetters: takeLetters,
  onStale: showStale,
  onRefused: () => leave(),
});
new Lease({ element: document.getElementById("lease"), onEnd: () => leave() });
listen();
part("loading").remove();
availability.start();
performance.mark("seats-interactive");
window.scriptsWork?.();
root.dataset.ready = "";

/** Without headers of its own: only so does the browser take what the page has preloaded. */
async function fetchUntilItComes(url, kind, patience = undefined) {
  for (;;) {
    try {
      const response = await fetchInTime(url, { patience });
      if (response.ok) return await response[kind]();
      if (isRefusal(response)) {
        leave();
        return await new Promise(() => {});
      }
    } catch {
      // The same as an answer that is no use.
    }
    showStale(true);
    await new Promise((resolve) => setTimeout(resolve, RETRY));
  }
}

/** To where an answer leads; or, without one, to what the server shows instead of a map: it knows why. */
function leave(target) {
  if (isLeaving) return;
  isLeaving = true;
  availability?.stop();
  if (target) location.assign(target);
  else setTimeout(() => location.reload(), LEAST_STAY - performance.now());
}

function showStale(isStale) {
  if (!isStale) holding?.reached();
  part("stale").hidden = !isStale;
  part("stale").textContent = isStale ? say("stale") : "";
}

/** As high as the hall is for its width, and no higher than it ever needs; the style sheet knows the limits. */
function shapeView() {
  const { width, height } = drawing.bounds;
  view.style.setProperty("--hall-shape", `${width} / ${height}`);
  view.style.setProperty("--hall-height", `${(height / PITCH) * FIT_LARGEST}px`);
}

/** Among many dates the one that is chosen for, without moving the page. */
function showCurrentDate() {
  const current = document.querySelector(".date[aria-current]");
  const dates = current?.closest(".dates");
  if (!dates) return;
  const [box, within] = [current.getBoundingClientRect(), dates.getBoundingClientRect()];
  dates.scrollLeft += box.x + box.width / 2 - within.x - within.width / 2;
}

// --- What is free ---------------------------------------------------------------------------------------------------

function takeLetters(text, askedAt) {
  const kept = [...lost].filter(([, since]) => askedAt < since + STALE_FOR).map(([seat]) => seat);
  const changed = new Set(hall.update(text));
  for (const seat of hall.take(kept)) changed.add(seat);
  changeSeats([...changed]);
}

function changeSeats(changed) {
  if (!changed.length) return;
  // Given back in another tab, or held for too long: what the page says of the customer's seats is over.
  if (changed.some((seat) => hall.isOwn(seat) && hall.isFree(seat))) leave();
  drawing.update(changed);
  list.update(changed);
  loseTaken();
  showTip();
  showLeft();
}

/** Marks chosen seats as taken: by another customer, or by this one if an attempt to hold them was not answered. */
function loseTaken() {
  const taken = selection.seats.filter((seat) => !hall.isFree(seat));
  if (!taken.length || holding.isBusy) return;
  if (holding.isUncertain) {
    leave();
    return;
  }
  selection.remove(taken);
  tray.say(lostWords(taken));
}

function lostWords(seats) {
  const names = seats.map((seat) => hall.name(seat));
  return names.length === 1
    ? say("seatLost", { seat: names[0] })
    : say("seatsLost", { seats: names.join(" · ") });
}

function showLeft() {
  const free = hall.states.filter((state) => state === FREE).length;
  tray.setSoldOut(free === 0);
  const best = document.getElementById("best");
  if (best) best.hidden = free === 0;
  const left = slot("left");
  if (!left) return; // not on sale
  const name = free === 0 ? "soldOut" : free === 1 ? "oneLeft" : "manyLeft";
  left.textContent = say(name, { seats: figure(free) });
}

// --- Choosing ---------------------------------------------------------------------------------------------------------

function toggle(seat) {
  if (!selection.has(seat) && !hall.isFree(seat)) {
    announce(hall.describe(seat));
    return;
  }
  tray.say("");
  if (!selection.toggle(seat)) {
    if (selection.limit) tray.say(say("limit", { limit: figure(selection.limit) }));
    else sayFull();
    return;
  }
  showTip();
  announce(
    selection.has(seat)
      ? hall.describe(seat, true)
      : say("removed", { seat: hall.name(seat) }),
  );
}

/** Without a tray: the page says it in its place. */
function sayFull() {
  part("full").scrollIntoView({ block: "nearest" });
  announce(part("full").textContent);
}

function onRefused({ code, data }) {
  if (code.startsWith("QUEUE_TOKEN_") || code === "AUTHENTICATION_REQUIRED" || code === "PERMISSION_DENIED") {
    leave();
  } else if (code.startsWith("IDEMPOTENCY_KEY_") || (holding.isUncertain && (code.startsWith("SEAT_") || code === "UNPAID_LIMIT_EXCEEDED"))) {
    leave(); // an attempt that was not answered came through, or may have: the page then shows the hold
  } else if (code === "SEAT_ALREADY_HELD" || code === "SEAT_ALREADY_RESERVED") {
    return refuseSeats(hall.seatsWithIds(data?.seat_ids ?? []));
  }
  return undefined;
}

function refuseSeats(seats) {
  for (const seat of seats) lost.set(seat, performance.now());
  availability.ask();
  if (!seats.length) return say("seatBusy");
  changeSeats(hall.take(seats));
  return lostWords(seats);
}

// --- Pointer ----------------------------------------------------------------------------------------------------------

function seatAt({ x, y }) {
  return hall.at(Math.floor(x), Math.floor(y));
}

function tap(point) {
  const least = point.pointerType === "mouse" ? CLICKABLE_FROM : TAPPABLE_FROM;
  if (camera.scale < least) {
    camera.approach(Math.floor(point.x), Math.floor(point.y), TAP_SCALE);
    return;
  }
  const seat = seatAt(point);
  if (seat === undefined) return;
  setCursor(undefined);
  toggle(seat);
}

function hover(point) {
  hovered = point && camera.scale >= CLICKABLE_FROM ? seatAt(point) : undefined;
  drawing.place(drawing.shine, hovered);
  showTip();
}

// --- Keyboard ---------------------------------------------------------------------------------------------------------

function listen() {
  view.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (press(event.key)) event.preventDefault();
  });
  view.addEventListener("focus", () => {
    if (view.matches(":focus-visible")) moveTo(cursor ?? hall.start());
  });
  view.addEventListener("blur", () => {
    drawing.place(drawing.ring, undefined);
    showTip();
  });
  const kinds = document.getElementById("seat-kind");
  kinds?.addEventListener("change", () => {
    hall.wanted = kinds.value;
    drawing.drawAll();
    list.filter();
  });
  for (const button of document.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => zoom(button.dataset.zoom));
  }
  const best = document.getElementById("best");
  best?.addEventListener("submit", (event) => {
    event.preventDefault();
    holding.send(best, [], (text) => warn(slot("best-alert"), text));
  });
}

function press(key) {
  if (key in ARROWS) moveTo(cursor === undefined ? hall.start() : hall.next(cursor, ARROWS[key]));
  else if (key === "Home" || key === "End") {
    moveTo(hall.edge(cursor ?? hall.start(), key === "Home" ? "left" : "right"));
  } else if (key === " " || key === "Enter") toggleCursor();
  else if (key === "+" || key === "=") zoom("in");
  else if (key === "-") zoom("out");
  else if (key === "0") zoom("fit");
  else if (key === "Escape") setCursor(undefined);
  else return false;
  return true;
}

function toggleCursor() {
  if (cursor === undefined) moveTo(hall.start());
  else toggle(cursor);
}

function zoom(direction) {
  if (direction === "fit") camera.fit();
  else camera.zoomBy(direction);
  if (cursor !== undefined) camera.reveal(hall.x(cursor), hall.y(cursor));
}

function moveTo(seat) {
  setCursor(seat);
  if (camera.scale < TAPPABLE_FROM) camera.approach(hall.x(seat), hall.y(seat), TAP_SCALE); // to see the ring
  else camera.reveal(hall.x(seat), hall.y(seat));
  announce(hall.describe(seat, selection.has(seat)));
}

function setCursor(seat) {
  cursor = seat;
  drawing.place(drawing.ring, seat);
  showTip();
}

// --- Words ------------------------------------------------------------------------------------------------------------

function showTip() {
  const seat = hovered ?? (document.activeElement === view ? cursor : undefined);
  const tip = slot("tip");
  tip.hidden = seat === undefined;
  if (seat === undefined) return;
  const [name, details] = [document.createElement("strong"), document.createElement("span")];
  name.textContent = hall.name(seat);
  details.textContent = hall.details(seat, selection.has(seat));
  tip.replaceChildren(name, details);
  tip.dataset.seat = seat;
  placeTip();
}

function placeTip() {
  const tip = slot("tip");
  if (tip.hidden || !tip.dataset.seat) return;
  const seat = Number(tip.dataset.seat);
  const { x, y, size } = camera.locate(hall.x(seat), hall.y(seat));
  const left = Math.min(Math.max(x + size / 2 - tip.offsetWidth / 2, 4), view.clientWidth - tip.offsetWidth - 4);
  const above = y - tip.offsetHeight - 8;
  tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(above < 4 ? y + size + 8 : above)}px)`;
}

function announce(text) {
  slot("news").textContent = text;
}

/** A visitor who waited in another tab sees by title and icon that the turn has come. */
function announceTurn() {
  if (!document.hidden) return;
  const icon = document.querySelector('link[rel="icon"]');
  const [title, href] = [document.title, icon.href];
  document.title = `● ${say("yourTurn")} · ${title}`;
  icon.href = root.dataset.turnIcon;
  document.addEventListener("visibilitychange", () => {
    document.title = title;
    icon.href = href;
  }, { once: true });
}
