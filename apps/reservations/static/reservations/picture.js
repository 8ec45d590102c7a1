// Draws the hall and keeps it and the list beside it up to date. Without this script the page shows both, and is loaded again by hand.

const FREE = "A";
const HELD = "H";
const TAKEN = new Set([HELD, "R"]);
const SIZE = 0.8; // of a seat, in units of the map

const page = document.querySelector("[data-picture]");
const drawing = page.querySelector(".picture__drawing");
const list = page.querySelector("[data-list]");
const choice = page.querySelector("[data-choice]");
const detail = page.querySelector("[data-detail]");
const message = page.querySelector("[data-message]");
const choiceWords = page.querySelector("[data-choice-words]");
const paths = new Map([...drawing.querySelectorAll("[data-state]")].map((path) => [path.dataset.state, path]));
const clock = new Intl.DateTimeFormat(document.documentElement.lang, {
  timeStyle: "medium",
  timeZone: page.dataset.zone,
});

let seats = []; // of the map, each: id, section, row, number, x, y, grade
let places = new Map(); // "x,y" to a place among the seats
let statuses = "";
let holders = new Map(); // a place to its hold
let version = null;
const chosen = new Set(); // ids

async function fetched(url, headers = {}) {
  const answer = await fetch(url, { headers, credentials: "same-origin" });
  if (answer.status !== 304 && !answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer;
}

const square = ([, , , , x, y]) => `M${x} ${y}h${SIZE}v${SIZE}h-${SIZE}z`;

function draw() {
  const squares = {};
  for (let place = 0; place < seats.length; place += 1) {
    (squares[statuses[place]] ??= []).push(square(seats[place]));
  }
  for (const [state, path] of paths) {
    if (state !== "chosen") path.setAttribute("d", (squares[state] ?? []).join(""));
  }
  drawChosen();
}

function drawChosen() {
  const own = seats.filter(([id]) => chosen.has(id));
  paths.get("chosen").setAttribute("d", own.map(square).join(""));
  if (choiceWords) choiceWords.textContent = own.map(labelOf).join(", ");
  for (const box of choice.querySelectorAll("input[type=checkbox][name=seat]")) {
    box.checked = chosen.has(Number(box.value));
  }
  // Chosen on another page of the list.
  for (const input of choice.querySelectorAll("input[type=hidden][name=seat]")) input.remove();
  const shown = new Set([...choice.querySelectorAll("input[name=seat]")].map((box) => Number(box.value)));
  for (const id of chosen) {
    if (shown.has(id)) continue;
    const input = document.createElement("input");
    Object.assign(input, { type: "hidden", name: "seat", value: String(id) });
    choice.append(input);
  }
}

const labelOf = ([, section, row, number]) => `${section} ${row}-${number}`;

function describe(place) {
  const seat = seats[place];
  const state = statuses[place];
  const parts = [labelOf(seat), seat[6]];
  const hold = holders.get(place);
  if (chosen.has(seat[0])) parts.push(page.dataset.chosen);
  else if (state === HELD && hold) {
    const until = clock.format(new Date(hold.until));
    parts.push(page.dataset.held.replace(/\{(who|time)\}/g, (_, word) => (word === "who" ? hold.who : until)));
  } else parts.push(paths.get(state)?.dataset.label ?? "");
  return parts.join(" · ");
}

function placeAt(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
  return places.get(`${Math.floor(point.x)},${Math.floor(point.y)}`);
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetched(page.dataset.now, version ? { "If-None-Match": version } : {});
    message.textContent = "";
    if (answer.status === 304 || answer.headers.get("ETag") === version) return;
    const isFirst = version === null;
    version = answer.headers.get("ETag");
    const now = await answer.json();
    statuses = now.statuses;
    holders = new Map(now.holds.flatMap((hold) => hold.seats.map((place) => [place, hold])));
    for (const id of chosen) {
      if (TAKEN.has(statuses[seats.findIndex(([own]) => own === id)])) chosen.delete(id);
    }
    for (const count of page.querySelectorAll("[data-count]")) {
      const letter = count.dataset.count;
      let total = 0;
      for (const status of statuses) if (status === letter) total += 1;
      count.textContent = total.toLocaleString("en");
    }
    draw();
    if (!isFirst) await refreshList();
  } catch {
    message.textContent = page.dataset.stale;
  }
}

async function refreshList() {
  const url = new URL(location.href);
  url.searchParams.set("list", "");
  const held = document.activeElement?.closest("[data-list]") ? document.activeElement : null;
  const html = await (await fetched(url)).text();
  list.innerHTML = html;
  if (held?.value) list.querySelector(`[name=seat][value="${CSS.escape(held.value)}"]`)?.focus();
  drawChosen();
}

function choose(id, isChosen) {
  if (isChosen) chosen.add(id);
  else chosen.delete(id);
  drawChosen();
}

drawing.addEventListener("pointermove", (event) => {
  const place = placeAt(event);
  detail.textContent = place === undefined ? "\u00a0" : describe(place);
  drawing.style.cursor = place === undefined ? "default" : "pointer";
});
drawing.addEventListener("click", (event) => {
  const place = placeAt(event);
  if (place === undefined) return;
  const [id] = seats[place];
  if (statuses[place] === FREE && "chooses" in page.dataset) {
    choose(id, !chosen.has(id));
    detail.textContent = describe(place);
  } else {
    location.assign(page.dataset.seat.replace(/0\/$/, `${id}/`) + page.dataset.query);
  }
});
list.addEventListener("change", (event) => {
  if (event.target.name === "seat") choose(Number(event.target.value), event.target.checked);
});
page.querySelector(".picture__tools").addEventListener("click", (event) => {
  const factor = Number(event.target.dataset.zoom);
  if (!factor) return;
  const width = Math.min(1600, Math.max(100, (parseFloat(drawing.style.width) || 100) * factor));
  drawing.style.width = `${width}%`;
});
document.addEventListener("visibilitychange", refresh);

async function start() {
  try {
    ({ seats } = await (await fetched(page.dataset.map)).json());
    places = new Map(seats.map(([, , , , x, y], place) => [`${x},${y}`, place]));
    for (const hidden of page.querySelectorAll("[hidden]")) hidden.hidden = false;
  } catch {
    message.textContent = page.dataset.stale;
    setTimeout(start, 3000);
    return;
  }
  for (const box of choice.querySelectorAll("input[name=seat]:checked")) chosen.add(Number(box.value));
  await refresh();
  setInterval(refresh, Number(page.dataset.seconds) * 1000);
}

start();
