// Looks at a drawing: pans and zooms it by wheel, pinch, drag and buttons. A wheel that only passes by scrolls the page.

import { PITCH } from "./drawing.js";

const LARGEST = 48; // px for each seat: more helps no visitor
export const FIT_LARGEST = 40; // the same where the whole hall is shown
const MARGIN = 16; // px
const STEP = 1.5;
const DRAG_FROM = 6; // px that a finger or a mouse may tremble
const SETTLE = 140; // ms
const HEAVY_FROM = 12_000; // seats: too many to be drawn anew for each frame of a movement

export class Camera {
  #view;
  #drawing;
  #isHeavy;
  #pointers = new Map();
  #committed;
  #settling;
  #frame;
  #isDragging = false;
  #fittedScale = 0; // at the last drawing

  /** `onTap({x, y, pointerType})` and `onHover({x, y} | undefined)` are in seats; `onMove()` when what is seen changes. */
  constructor({ view, drawing, seats, onTap, onHover, onMove }) {
    Object.assign(this, { onTap, onHover, onMove });
    this.#view = view;
    this.#drawing = drawing;
    this.#isHeavy = seats >= HEAVY_FROM;
    view.append(drawing.svg);
    this.fit();
    this.#listen();
    new ResizeObserver(() => this.#resize()).observe(view);
  }

  get scale() {
    return this.current.scale;
  }

  /** Where a seat is on the screen, in px from the corner of the view. */
  locate(x, y) {
    const { scale, left, top } = this.current;
    return { x: (x - left) * scale, y: (y - top) * scale, size: scale };
  }

  fit() {
    const { width, height } = this.#size();
    const scale = this.#fitting();
    const { bounds } = this;
    this.current = {
      scale,
      left: bounds.left + bounds.width / 2 - width / scale / 2,
      top: bounds.top + bounds.height / 2 - height / scale / 2,
    };
    this.#draw(true);
  }

  zoom(factor, at = undefined) {
    const { width, height } = this.#size();
    const point = at ?? { x: width / 2, y: height / 2 };
    const { scale, left, top } = this.current;
    const wanted = Math.min(Math.max(scale * factor, this.#fitting()), Math.max(LARGEST, this.#fitting()));
    this.current = {
      scale: wanted,
      left: left + point.x / scale - point.x / wanted,
      top: top + point.y / scale - point.y / wanted,
    };
    this.#draw();
  }

  zoomBy(direction) {
    this.zoom(direction === "in" ? STEP : 1 / STEP);
  }

  /** Zoom to at least `scale`, with the seat in the middle. */
  approach(x, y, scale) {
    const { width, height } = this.#size();
    this.current = {
      scale,
      left: x + 0.5 - width / scale / 2,
      top: y + 0.5 - height / scale / 2,
    };
    this.#draw();
  }

  /** Pan just as far as is needed to see the seat. */
  reveal(x, y) {
    const { width, height } = this.#size();
    const { scale } = this.current;
    const margin = Math.min(width, height) * 0.15;
    const place = this.locate(x, y);
    const over = (start, size) =>
      Math.min(0, start - margin) + Math.max(0, start + scale - (size - margin));
    this.#pan(-over(place.x, width), -over(place.y, height));
  }

  get bounds() {
    const { x, y, width, height } = this.#drawing.bounds;
    return { left: x / PITCH, top: y / PITCH, width: width / PITCH, height: height / PITCH };
  }

  #size() {
    return { width: this.#view.clientWidth || 1, height: this.#view.clientHeight || 1 };
  }

  #fitting() {
    const { width, height } = this.#size();
    const { bounds } = this;
    return Math.min((width - MARGIN) / bounds.width, (height - MARGIN) / bounds.height, FIT_LARGEST);
  }

  #pan(dx, dy) {
    const { scale, left, top } = this.current;
    this.current = { scale, left: left - dx / scale, top: top - dy / scale };
    this.#draw();
  }

  #isNear(fitted) {
    return this.scale > fitted * 1.01;
  }

  #resize() {
    if (!this.#isNear(this.#fittedScale)) this.fit();
    else this.#draw(true);
  }

  /** Keep the hall in sight: centred where it is smaller than the view, no gap at an edge where it is larger. */
  #clamp() {
    const { width, height } = this.#size();
    const { bounds, current } = this;
    const within = (start, low, extent, seen) =>
      extent <= seen
        ? low + extent / 2 - seen / 2
        : Math.min(Math.max(start, low - seen * 0.1), low + extent - seen * 0.9);
    current.left = within(current.left, bounds.left, bounds.width, width / current.scale);
    current.top = within(current.top, bounds.top, bounds.height, height / current.scale);
  }

  #draw(isNow = false) {
    this.#clamp();
    if (isNow) {
      this.#commit();
      return;
    }
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      if (!this.#isHeavy) {
        this.#commit();
        return;
      }
      this.#shift();
      clearTimeout(this.#settling);
      this.#settling = setTimeout(() => this.#commit(), SETTLE);
    });
  }

  /** Move the picture that there is; a large hall is drawn sharply when the movement has ended. */
  #shift() {
    const { scale, left, top } = this.current;
    const from = this.#committed;
    const [dx, dy] = [(from.left - left) * scale, (from.top - top) * scale];
    this.#drawing.svg.style.transform = `translate(${dx}px, ${dy}px) scale(${scale / from.scale})`;
    this.onMove();
  }

  #commit() {
    const { width, height } = this.#size();
    const { scale, left, top } = this.current;
    this.#committed = { ...this.current };
    this.#fittedScale = this.#fitting();
    this.#drawing.svg.style.transform = "";
    this.#drawing.show(
      {
        x: left * PITCH,
        y: top * PITCH,
        width: (width / scale) * PITCH,
        height: (height / scale) * PITCH,
      },
      scale,
    );
    this.#view.classList.toggle("map__view--near", this.#isNear(this.#fittedScale));
    this.onMove();
  }

  #listen() {
    const view = this.#view;
    view.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    view.addEventListener("pointerdown", (event) => this.#down(event));
    view.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      view.addEventListener(name, (event) => this.#up(event));
    }
    view.addEventListener("pointerleave", () => this.onHover(undefined));
  }

  #point(event) {
    const box = this.#view.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #seatAt({ x, y }) {
    const { scale, left, top } = this.current;
    return { x: x / scale + left, y: y / scale + top };
  }

  #wheel(event) {
    const isMeant = event.ctrlKey || document.activeElement === this.#view || this.#isNear(this.#fitting());
    const isAtEnd =
      event.deltaY > 0
        ? this.scale <= this.#fitting() * 1.001
        : this.scale >= Math.max(LARGEST, this.#fitting()) * 0.999;
    if (!isMeant || (isAtEnd && !event.ctrlKey && !event.shiftKey)) return; // the page scrolls
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.#pan(-(event.deltaX || event.deltaY) * unit, 0);
    } else {
      this.zoom(Math.exp((-event.deltaY * unit) / (event.ctrlKey ? 100 : 400)), this.#point(event));
    }
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#pointers.set(event.pointerId, { at: this.#point(event), start: this.#point(event) });
    if (this.#pointers.size === 1) this.#isDragging = false;
    if (this.#pointers.size === 2) this.#isDragging = true;
  }

  #move(event) {
    // Let go of outside of the view, where no event tells us.
    if (event.pointerType === "mouse" && event.buttons === 0) this.#pointers.delete(event.pointerId);
    const pointer = this.#pointers.get(event.pointerId);
    const at = this.#point(event);
    if (!pointer) {
      if (event.pointerType === "mouse") this.onHover(this.#seatAt(at));
      return;
    }
    const { start, at: before } = pointer;
    if (!this.#isDragging && Math.hypot(at.x - start.x, at.y - start.y) > DRAG_FROM) {
      this.#isDragging = true;
      this.#view.setPointerCapture(event.pointerId);
      this.onHover(undefined);
    }
    if (!this.#isDragging) return;
    if (this.#pointers.size === 1) {
      pointer.at = at;
      this.#pan(at.x - before.x, at.y - before.y);
    } else {
      const other = [...this.#pointers].find(([id]) => id !== event.pointerId)[1].at;
      const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
      pointer.at = at;
      this.#pan((at.x - before.x) / 2, (at.y - before.y) / 2);
      this.zoom(distance(at) / distance(before), {
        x: (at.x + other.x) / 2,
        y: (at.y + other.y) / 2,
      });
    }
  }

  #up(event) {
    const isKnown = this.#pointers.delete(event.pointerId);
    if (!isKnown || event.type === "pointercancel" || this.#isDragging) return;
    this.onTap({ ...this.#seatAt(this.#point(event)), pointerType: event.pointerType });
  }
}
