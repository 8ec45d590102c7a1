// Draws a hall on a canvas, whatever its size, and tells clicks from lines that are drawn around seats.

const LARGEST = 48; // px for each seat
const MARGIN = 12; // px
const DRAG_FROM = 5; // px that a pointer may tremble
const LETTERS_FROM = 11; // px for each seat
const STEP = 1.5;

export class Picture {
  #canvas;
  #context;
  #hall;
  #chosen;
  #frame;
  #line;
  #from;
  mode = "seat";

  /** `onTap(seat)`, `onLasso(seats)` and `onHover(seat | undefined)`; `chosen` is a set of seats that others change. */
  constructor({ canvas, hall, chosen, onTap, onLasso, onHover }) {
    Object.assign(this, { onTap, onLasso, onHover });
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#hall = hall;
    this.#chosen = chosen;
    new ResizeObserver(() => this.#fit()).observe(canvas);
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#drop());
    canvas.addEventListener("pointerleave", () => this.onHover(undefined));
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    const attributes = { attributes: true, attributeFilter: ["class"] };
    new MutationObserver(() => this.draw()).observe(document.documentElement, attributes); // dark or light
  }

  zoomBy(direction) {
    if (direction === "fit") this.#fit();
    else this.#zoom(direction === "in" ? STEP : 1 / STEP);
  }

  draw() {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined;
      this.#paint();
    });
  }

  get #size() {
    return { width: this.#canvas.clientWidth || 1, height: this.#canvas.clientHeight || 1 };
  }

  /** Where the whole hall is seen. */
  #fit() {
    const { width, height } = this.#size;
    const { left, top, right, bottom } = this.#hall.bounds;
    const [wide, high] = [right - left + 1, bottom - top + 1];
    this.least = Math.min((width - 2 * MARGIN) / wide, (height - 2 * MARGIN) / high, LARGEST);
    this.scale = this.least;
    this.left = left + wide / 2 - width / this.scale / 2;
    this.top = top + high / 2 - height / this.scale / 2;
    const ratio = devicePixelRatio || 1;
    this.#canvas.width = Math.round(width * ratio);
    this.#canvas.height = Math.round(height * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.draw();
  }

  #zoom(factor, at = undefined) {
    const { width, height } = this.#size;
    const point = at ?? { x: width / 2, y: height / 2 };
    const scale = Math.min(Math.max(this.scale * factor, this.least), LARGEST);
    this.left += point.x / this.scale - point.x / scale;
    this.top += point.y / this.scale - point.y / scale;
    this.scale = scale;
    this.draw();
  }

  #point(event) {
    const box = this.#canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  #inSeats({ x, y }) {
    return { x: x / this.scale + this.left, y: y / this.scale + this.top };
  }

  #seatAt(point) {
    const { x, y } = this.#inSeats(point);
    return this.#hall.at(Math.floor(x), Math.floor(y));
  }

  // --- Pointer ------------------------------------------------------------------------------------------------------

  #wheel(event) {
    event.preventDefault();
    this.#zoom(Math.exp(-event.deltaY / 300), this.#point(event));
  }

  #down(event) {
    if (event.button !== 0) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#from = this.#point(event);
    this.#line = undefined;
  }

  #move(event) {
    const at = this.#point(event);
    if (!this.#from) {
      this.onHover(this.#seatAt(at));
      return;
    }
    const isDragging = this.#line || Math.hypot(at.x - this.#from.x, at.y - this.#from.y) > DRAG_FROM;
    if (!isDragging) return;
    if (this.mode === "move") {
      this.left -= (at.x - this.#from.x) / this.scale;
      this.top -= (at.y - this.#from.y) / this.scale;
      this.#from = at;
      this.#line = [];
    } else {
      this.#line ??= [this.#inSeats(this.#from)];
      this.#line.push(this.#inSeats(at));
    }
    this.draw();
  }

  #up(event) {
    const [line, from] = [this.#line, this.#from];
    this.#drop();
    if (!from || this.mode === "move") return;
    if (line) {
      this.onLasso(this.#hall.within(line));
      return;
    }
    const seat = this.#seatAt(this.#point(event));
    if (seat !== undefined) this.onTap(seat);
  }

  #drop() {
    this.#line = this.#from = undefined;
    this.draw();
  }

  // --- Drawing ------------------------------------------------------------------------------------------------------

  #paint() {
    const { width, height } = this.#size;
    const context = this.#context;
    const ink = getComputedStyle(this.#canvas).color;
    context.clearRect(0, 0, width, height);
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineWidth = 1;
    for (let seat = 0; seat < this.#hall.size; seat += 1) {
      const x = (this.#hall.x(seat) - this.left) * this.scale;
      const y = (this.#hall.y(seat) - this.top) * this.scale;
      if (x < -this.scale || y < -this.scale || x > width || y > height) continue;
      this.#paintSeat(seat, x, y, ink);
    }
    this.#paintNames(ink);
    this.#paintLine(ink);
  }

  #paintSeat(seat, x, y, ink) {
    const context = this.#context;
    const gap = this.scale > 6 ? this.scale * 0.1 : 0.5;
    const side = Math.max(this.scale - 2 * gap, 1);
    const [left, top] = [x + gap, y + gap];
    const category = this.#hall.category(seat);
    const isLarge = this.scale >= LETTERS_FROM;
    context.fillStyle = category?.colour ?? ink;
    context.globalAlpha = category ? 1 : 0.15;
    context.fillRect(left, top, side, side);
    context.globalAlpha = 1;
    context.fillStyle = category ? "#ffffff" : ink;
    context.strokeStyle = category ? "#ffffff" : ink;
    if (category && isLarge) {
      context.font = `600 ${Math.round(this.scale * 0.55)}px sans-serif`;
      context.fillText(category.letter, x + this.scale / 2, y + this.scale / 2 + 1);
    }
    if (this.#hall.state(seat) === "R") this.#stroke([left, top + side], [left + side, top]);
    if (this.#hall.state(seat) === "H") {
      context.beginPath();
      context.arc(left + side / 2, top + side / 2, Math.max(side * 0.2, 1), 0, 2 * Math.PI);
      context.fill();
    }
    if (this.#hall.kind(seat)) {
      context.beginPath();
      context.moveTo(left + side * 0.55, top);
      context.lineTo(left + side, top);
      context.lineTo(left + side, top + side * 0.45);
      context.fill();
    }
    if (this.#chosen.has(seat)) {
      context.strokeStyle = "#d1242f";
      context.lineWidth = Math.max(1.5, this.scale * 0.14);
      context.strokeRect(left, top, side, side);
      context.lineWidth = 1;
    }
  }

  #stroke([x, y], [toX, toY]) {
    this.#context.beginPath();
    this.#context.moveTo(x, y);
    this.#context.lineTo(toX, toY);
    this.#context.stroke();
  }

  #paintNames(ink) {
    const context = this.#context;
    context.fillStyle = ink;
    context.font = "600 12px sans-serif";
    context.textAlign = "left";
    for (const { name, x, y } of this.#hall.sections) {
      context.fillText(name, (x - this.left) * this.scale, (y - this.top) * this.scale - 8);
    }
  }

  #paintLine(ink) {
    if (!this.#line?.length) return;
    const context = this.#context;
    context.strokeStyle = ink;
    context.setLineDash([5, 4]);
    context.beginPath();
    for (const { x, y } of this.#line) {
      context.lineTo((x - this.left) * this.scale, (y - this.top) * this.scale);
    }
    context.closePath();
    context.stroke();
    context.setLineDash([]);
  }
}
