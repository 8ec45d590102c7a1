// Choose seats on the map of a hall: by click, by row, by section, or by drawing around them. What becomes of them the form says.

import { Picture } from "./painting/picture.js";
import { Hall } from "./painting/hall.js";

const form = document.getElementById("painting");
const words = JSON.parse(document.getElementById("painting-words").textContent);
const slot = (name) => form.querySelector(`[data-slot="${name}"]`);
const field = form.elements.seats;
const canvas = form.querySelector("canvas");

const say = (name, values = {}) =>
  words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);

try {
  const response = await fetch(form.dataset.url, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(String(response.status));
  start(new Hall(await response.json()));
} catch {
  slot("chosen").textContent = say("failed");
}

function start(hall) {
  form.querySelector(".painting-map").hidden = false;
  const chosen = new Set(hall.seatsWithIds(field.value.split(",").map(Number)));
  const picture = new Picture({ canvas, hall, chosen, onTap: tap, onLasso: lasso, onHover: hover });
  show();

  for (const radio of form.querySelectorAll('input[name="mode"]')) {
    radio.addEventListener("change", () => {
      picture.mode = canvas.dataset.mode = radio.value;
    });
    if (radio.checked) picture.mode = canvas.dataset.mode = radio.value;
  }
  for (const button of form.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => picture.zoomBy(button.dataset.zoom));
  }
  form.querySelector("[data-clear]").addEventListener("click", () => {
    chosen.clear();
    show();
  });

  function tap(seat) {
    const group = hall.around(seat, picture.mode).filter((one) => hall.isFree(one));
    const isMore = group.some((one) => !chosen.has(one));
    for (const one of group) chosen[isMore ? "add" : "delete"](one);
    show();
  }

  /** Sold and held seats stay as they are, so they are not chosen either. */
  function lasso(seats) {
    for (const seat of seats) if (hall.isFree(seat)) chosen.add(seat);
    show();
  }

  function hover(seat) {
    slot("seat").textContent = seat === undefined ? "" : hall.describe(seat, say);
  }

  function show() {
    field.value = [...chosen].map((seat) => hall.id(seat)).join(",");
    slot("chosen").textContent = chosen.size
      ? say("chosen", { seats: chosen.size.toLocaleString("en") })
      : say("none");
    picture.draw();
  }
}
