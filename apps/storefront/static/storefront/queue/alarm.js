// One alarm, set anew whenever it is set: by a worker if there are workers, because a tab in the background must not be late.

export class Alarm {
  #dueByClock;
  #id = 0;
  #timer;
  #worker;

  constructor(workerUrl, ring) {
    this.ring = ring;
    try {
      this.#worker = new Worker(workerUrl);
      this.#worker.addEventListener("message", ({ data }) => this.#fire(data));
      this.#worker.addEventListener("error", () => this.#goOnWithoutWorker());
    } catch {
      this.#worker = undefined;
    }
  }

  set(milliseconds) {
    this.#id += 1;
    this.dueAt = performance.now() + milliseconds;
    this.#dueByClock = Date.now() + milliseconds;
    this.#start(milliseconds);
  }

  clear() {
    this.#id += 1;
    this.dueAt = undefined;
    clearTimeout(this.#timer);
  }

  /** For a page that wakes up: its alarm may have slept longer than it was set for, and some devices stop our clock then. */
  ringIfOverdue() {
    const isOverdue = performance.now() >= this.dueAt || Date.now() >= this.#dueByClock;
    if (this.dueAt !== undefined && isOverdue) this.#fire(this.#id);
  }

  #start(milliseconds) {
    const id = this.#id;
    if (this.#worker) {
      this.#worker.postMessage({ id, milliseconds });
    } else {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#fire(id), milliseconds);
    }
  }

  #goOnWithoutWorker() {
    this.#worker = undefined;
    if (this.dueAt !== undefined) this.#start(Math.max(0, this.dueAt - performance.now()));
  }

  #fire(id) {
    if (id !== this.#id || this.dueAt === undefined) return;
    this.dueAt = undefined;
    this.ring();
  }
}
