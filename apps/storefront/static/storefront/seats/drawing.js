// Draws a hall as SVG. All seats of a section that look alike are one path: a few dozen elements for 50,000 seats.

import { FREE, HELD, MINE, SOLD } from "./hall.js";
import { say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
export const PITCH = 10; // map units from one seat to the next
const PATTERNED_FROM = 9; // px for each seat, below which patterns are only noise
const ROWS_FROM = 13; // px: letters of rows fit beside them
const NUMBERS_FROM = 26; // px: numbers fit on seats
const NUMBERS_MAX = 1_500;
const NAME_ABOVE_FROM = 9; // px: there is room for a section's name in the aisle
const TEXT = 12; // px
const LEAST_TEXT = 9; // px: smaller is not read

const BODY = "h4v4h-4z"; // stroked 4 wide with round corners: 8 by 8
const SMALL = "h3v3h-3z";
const RING = "m1.5 0h3.5q1.5 0 1.5 1.5v3.5q0 1.5-1.5 1.5h-3.5q-1.5 0-1.5-1.5v-3.5q0-1.5 1.5-1.5z"; // as in the legend
// Under the sign of a kind, so that it can be read on every grade; the signs themselves are in the page.
const PLATES = {
  WHEELCHAIR: "m1.7 1.5h6.6v7h-6.6z",
  COMPANION: "m1.7 1.5h6.6v7h-6.6z",
  AISLE: "m5.9 .4h3.7v3.6h-3.7z",
  RESTRICTED_VIEW: "m5.9 .4h3.7v3.6h-3.7z",
};
const DIM = "dim"; // the look of free seats that are not of the kind that is looked for
const DOT = [4.2, "h1.6v1.6h-1.6z"];
const SHAPES = { [FREE]: [3, BODY], [MINE]: [3, BODY], [HELD]: [1.75, RING], [SOLD]: [3.5, SMALL] };

function element(name, attributes = {}, parent = undefined) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

export class Drawing {
  #hall;
  #paths = new Map();
  #marks = new Map();
  #labels = [];
  #widths; // of the labels, in times their font size
  #isPatterned = false;
  #layers = {};

  constructor(hall) {
    this.#hall = hall;
    this.svg = element("svg", { "aria-hidden": "true", focusable: "false", class: "map__svg" });
    for (const name of ["stage", "seats", "signs", "names", "rows", "numbers", "marks", "focus"]) {
      this.#layers[name] = element("g", { class: `map-${name}` }, this.svg);
    }
    this.#drawStage();
    this.#drawNames();
    this.ring = element(
      "rect",
      { class: "map-ring", width: 10, height: 10, rx: 3, visibility: "hidden" },
      this.#layers.focus,
    );
    this.shine = element(
      "rect",
      { class: "map-shine", width: 9, height: 9, rx: 2.5, visibility: "hidden" },
      this.#layers.focus,
    );
  }

  /** The hall with its stage, in map units. */
  get bounds() {
    const { left, top, right, bottom } = this.#hall.bounds;
    return {
      x: left * PITCH - 2 * PITCH,
      y: (top - 5) * PITCH,
      width: (right - left + 5) * PITCH,
      height: (bottom - top + 7) * PITCH,
    };
  }

  drawAll() {
    this.#hall.sections.forEach((_, number) => this.#drawSection(number));
    this.#drawSigns();
  }

  update(changed) {
    const sections = new Set(changed.map((seat) => this.#hall.sectionOf[seat]));
    for (const number of sections) this.#drawSection(number);
    if (changed.some((seat) => this.#hall.kind(seat))) this.#drawSigns();
  }

  /** Marks on single seats: what was chosen. */
  mark(seats) {
    for (const [seat, mark] of this.#marks) {
      if (!seats.includes(seat)) {
        mark.remove();
        this.#marks.delete(seat);
      }
    }
    for (const seat of seats) {
      if (!this.#marks.has(seat)) this.#marks.set(seat, this.#chosen(seat));
    }
  }

  place(box, seat) {
    box.setAttribute("visibility", seat === undefined ? "hidden" : "visible");
    if (seat === undefined) return;
    const inset = (PITCH - Number(box.getAttribute("width"))) / 2;
    box.setAttribute("x", this.#hall.x(seat) * PITCH + inset);
    box.setAttribute("y", this.#hall.y(seat) * PITCH + inset);
  }

  /** Show `view` (in map units) at `scale` px for each seat, with as much detail as there is room for. */
  show(view, scale) {
    this.svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
    const unit = PITCH / scale; // map units of one px
    this.#setPatterned(scale >= PATTERNED_FROM);
    this.#layers.signs.setAttribute("visibility", scale >= PATTERNED_FROM ? "visible" : "hidden");
    this.#sizeNames(scale, unit);
    this.#showRows(scale, unit);
    this.#showNumbers(view, scale);
  }

  #drawStage() {
    const { left, right, top } = this.#hall.bounds;
    const middle = ((left + right + 1) / 2) * PITCH;
    const half = Math.max(4 * PITCH, (right - left + 1) * PITCH * 0.32);
    const [back, front] = [(top - 4.2) * PITCH, (top - 1.6) * PITCH];
    element(
      "path",
      {
        class: "map-stage__floor",
        d: `M${middle - half * 0.86} ${back}H${middle + half * 0.86}L${middle + half} ${front - 4}Q${middle} ${front + 8} ${middle - half} ${front - 4}Z`,
      },
      this.#layers.stage,
    );
    this.stageText = element(
      "text",
      { class: "map-stage__text", x: middle, y: (back + front) / 2 + 1 },
      this.#layers.stage,
    );
    this.stageText.textContent = say("stage");
  }

  #drawNames() {
    for (const section of this.#hall.sections) {
      const label = element("text", { class: "map-name" }, this.#layers.names);
      label.textContent = section.name;
      this.#labels.push(label);
    }
  }

  /** A name takes no more room than its section has: it shrinks while it can be read, and else waits for more room. */
  #sizeNames(scale, unit) {
    const isAbove = scale >= NAME_ABOVE_FROM;
    const largest = Math.min(TEXT * unit, isAbove ? 14 : Infinity);
    this.#widths ??= this.#measureNames();
    this.#layers.names.classList.toggle("map-names--over", !isAbove);
    this.#hall.sections.forEach((section, number) => {
      const label = this.#labels[number];
      const width = (section.right - section.left + 1) * PITCH;
      const height = (section.bottom - section.top + 2) * PITCH;
      const size = Math.min(largest, width / this.#widths[number], height);
      label.setAttribute("visibility", size < LEAST_TEXT * unit ? "hidden" : "visible");
      label.setAttribute("font-size", size);
      label.setAttribute("x", ((section.left + section.right + 1) / 2) * PITCH);
      label.setAttribute(
        "y",
        isAbove ? section.top * PITCH - 7 : ((section.top + section.bottom + 1) / 2) * PITCH,
      );
    });
    this.stageText.setAttribute("font-size", Math.min(14, TEXT * unit));
  }

  #measureNames() {
    this.#layers.names.setAttribute("font-size", PITCH);
    return this.#labels.map((label) => label.getComputedTextLength() / PITCH || 1);
  }

  #showRows(scale, unit) {
    const { rows } = this.#layers;
    const isShown = scale >= ROWS_FROM;
    rows.setAttribute("visibility", isShown ? "visible" : "hidden");
    if (!isShown) return;
    if (!rows.childElementCount) this.#drawRows();
    rows.setAttribute("font-size", Math.min(7, 11 * unit));
  }

  #drawRows() {
    for (const section of this.#hall.sections) {
      const ends = new Map();
      for (const seat of section.seats) {
        const x = this.#hall.x(seat);
        const end = ends.get(this.#hall.y(seat));
        if (!end || x < end.x) ends.set(this.#hall.y(seat), { x, row: this.#hall.row(seat) });
      }
      for (const [y, { x, row }] of ends) {
        const label = element(
          "text",
          { class: "map-row", x: x * PITCH - 5, y: y * PITCH + 5 },
          this.#layers.rows,
        );
        label.textContent = row;
      }
    }
  }

  #showNumbers(view, scale) {
    const { numbers } = this.#layers;
    numbers.replaceChildren();
    this.svg.closest(".hall")?.toggleAttribute("data-numbered", scale >= NUMBERS_FROM);
    if (scale < NUMBERS_FROM) return;
    let room = NUMBERS_MAX;
    for (let y = Math.floor(view.y / PITCH); y * PITCH < view.y + view.height; y += 1) {
      for (let x = Math.floor(view.x / PITCH); x * PITCH < view.x + view.width; x += 1) {
        const seat = this.#hall.at(x, y);
        if (seat === undefined || this.#hall.states[seat] === SOLD || this.#marks.has(seat)) continue;
        if (["WHEELCHAIR", "COMPANION"].includes(this.#hall.kind(seat))) continue; // the sign is there
        if ((room -= 1) < 0) return;
        const isFree = this.#hall.isFree(seat);
        const label = element(
          "text",
          {
            class: isFree ? `map-number map-number--${this.#hall.grade(seat).toLowerCase()}` : "map-number",
            x: x * PITCH + 5,
            y: y * PITCH + 5,
          },
          numbers,
        );
        label.textContent = this.#hall.number(seat);
      }
    }
  }

  #drawSection(number) {
    const hall = this.#hall;
    const drawn = new Map();
    for (const seat of hall.sections[number].seats) {
      const state = hall.states[seat];
      const isDim = state === FREE && !hall.isWanted(seat);
      const look = isDim ? DIM : state === FREE ? hall.grade(seat) : state;
      const [inset, shape] = isDim ? DOT : SHAPES[state];
      const parts = drawn.get(look) ?? drawn.set(look, []).get(look);
      parts.push("M", hall.x(seat) * PITCH + inset, " ", hall.y(seat) * PITCH + inset, shape);
    }
    for (const [key, path] of this.#paths) {
      if (path.section === number && !drawn.has(path.look)) {
        path.element.remove();
        this.#paths.delete(key);
      }
    }
    for (const [look, parts] of drawn) {
      const key = `${number} ${look}`;
      let path = this.#paths.get(key);
      if (!path) {
        path = { section: number, look, element: element("path", {}, this.#layers.seats) };
        this.#paths.set(key, path);
        this.#paint(path);
      }
      path.element.setAttribute("d", parts.join(""));
    }
  }

  /** What is no standard seat and not gone; two paths for each kind. */
  #drawSigns() {
    const hall = this.#hall;
    const parts = new Map();
    for (const [seat, kind] of hall.special) {
      if (hall.states[seat] === SOLD) continue;
      if (!parts.has(kind)) parts.set(kind, { plates: [], signs: [] });
      const corner = `M${hall.x(seat) * PITCH} ${hall.y(seat) * PITCH}`;
      parts.get(kind).plates.push(corner, PLATES[kind]);
      parts.get(kind).signs.push(corner, document.getElementById(`sign-${kind}`).getAttribute("d"));
    }
    this.#layers.signs.replaceChildren();
    for (const { plates, signs } of parts.values()) {
      element("path", { class: "seat-plate", d: plates.join("") }, this.#layers.signs);
      element("path", { class: "seat-sign", d: signs.join("") }, this.#layers.signs);
    }
  }

  #setPatterned(isPatterned) {
    if (isPatterned === this.#isPatterned) return;
    this.#isPatterned = isPatterned;
    for (const path of this.#paths.values()) this.#paint(path);
  }

  #paint({ look, element: path }) {
    const names = { [HELD]: "seat-held", [SOLD]: "seat-sold", [MINE]: "seat-mine", [DIM]: "seat-dim" };
    if (look in names) {
      path.setAttribute("class", `seat ${names[look]}`);
      return;
    }
    // Set here and not in the style sheet, where the address of a pattern would be one within the style sheet.
    const colour = this.#isPatterned ? `url(#seat-${look})` : `var(--grade-${look.toLowerCase()})`;
    path.setAttribute("class", "seat");
    path.style.fill = colour;
    path.style.stroke = colour;
  }

  #chosen(seat) {
    const [x, y] = [this.#hall.x(seat) * PITCH, this.#hall.y(seat) * PITCH];
    const mark = element("g", { transform: `translate(${x} ${y})` }, this.#layers.marks);
    element("rect", { class: "seat-chosen", x: 0.5, y: 0.5, width: 9, height: 9, rx: 2 }, mark);
    element("path", { class: "seat-tick", d: "m2.8 5.2 1.6 1.6 2.9-3.4" }, mark);
    return mark;
  }
}
