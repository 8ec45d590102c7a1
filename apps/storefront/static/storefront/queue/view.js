// What the page shows of a place. A number that was shown never grows.

const QUIET = 30_000; // ms between two announcements, unless something changes that matters
const IS_TROUBLE = new Set(["OFFLINE", "UNAVAILABLE"]);

const clock = (seconds) => {
  const pad = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours ? `${hours}:${pad(minutes)}:${pad(seconds % 60)}` : `${minutes}:${pad(seconds % 60)}`;
};

export class View {
  #root;
  #title = document.title;
  #announcedAt = -Infinity;
  #ahead = Infinity;
  #opensAt;
  #opening;
  #state;

  constructor(root) {
    this.#root = root;
    this.#state = root.dataset.state;
  }

  showPlace(place) {
    this.#showState(place.state);
    if (place.people_ahead !== null) this.showAhead(place.people_ahead, place.first_position);
    this.#show("wait", Boolean(place.wait));
    if (place.wait) this.#slot("wait").textContent = place.wait;
    this.#countToOpening(place.state === "SCHEDULED" ? place.opens_in_seconds : undefined);
    this.#show("blank", this.#ahead === Infinity && place.state !== "SCHEDULED");
    this.#announceFigures();
  }

  showAhead(peopleAhead, firstPosition = undefined) {
    this.#ahead = Math.min(this.#ahead, peopleAhead);
    const { dataset } = this.#root;
    const number = this.#ahead.toLocaleString(document.documentElement.lang);
    this.#slot("ahead").textContent = number;
    this.#slot("label").textContent =
      this.#ahead === 0
        ? dataset.nobodyAhead
        : this.#ahead === 1
          ? dataset.oneAhead
          : dataset.manyAhead;
    const way = this.#slot("progress");
    if (firstPosition) way.max = firstPosition;
    way.value = way.max - this.#ahead;
    this.#show("ahead", true);
    this.#show("blank", false);
    document.title = `(${number}) ${this.#title}`;
  }

  showState(state) {
    if (!IS_TROUBLE.has(this.#state)) this.#showState(state);
  }

  showTrouble(trouble) {
    this.#showState(trouble);
  }

  showTurn() {
    const { dataset } = this.#root;
    this.#countToOpening(undefined);
    this.#showState("ACTIVE");
    document.title = dataset.turnTitle;
    document.querySelector('link[rel="icon"]').href = dataset.turnIcon;
  }

  #showState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#root.dataset.state = state;
    for (const sentence of this.#root.querySelectorAll("[data-when]")) {
      sentence.hidden = sentence.dataset.when !== state;
      if (!sentence.hidden) this.#announce(sentence.textContent);
    }
  }

  #countToOpening(seconds) {
    clearInterval(this.#opening);
    this.#show("opening", seconds !== undefined);
    if (seconds === undefined) return;
    this.#opensAt = performance.now() + seconds * 1000;
    this.#showOpening();
    this.#opening = setInterval(() => this.#showOpening(), 1000);
  }

  #showOpening() {
    const left = Math.max(0, Math.ceil((this.#opensAt - performance.now()) / 1000));
    const label = this.#slot("opening-label");
    this.#slot("opening").textContent = clock(left);
    label.textContent = left ? label.dataset.counting : label.dataset.over;
    document.title = left ? `(${clock(left)}) ${this.#title}` : this.#title;
  }

  #announceFigures() {
    if (this.#ahead === Infinity || performance.now() < this.#announcedAt + QUIET) return;
    const wait = this.#slot("wait").textContent;
    const figures =
      this.#ahead === 0
        ? this.#root.dataset.nobodyAhead
        : `${this.#slot("ahead").textContent} ${this.#slot("label").textContent}`;
    this.#announce(wait ? `${figures}. ${this.#root.dataset.waitLabel} ${wait}` : figures);
  }

  #announce(sentence) {
    const news = this.#slot("news");
    const text = sentence.trim();
    if (news.textContent === text) return;
    news.textContent = text;
    this.#announcedAt = performance.now();
  }

  #show(part, isShown) {
    this.#root.querySelector(`[data-part="${part}"]`).hidden = !isShown;
  }

  #slot(name) {
    return this.#root.querySelector(`[data-slot="${name}"]`);
  }
}
