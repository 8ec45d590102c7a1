// The waiting room: shows the visitor's place, and moves on when the turn comes. Without it the page refreshes by itself.

import { BoardWatcher } from "./queue/board-watcher.js";
import { Chime } from "./queue/chime.js";
import { Poller } from "./queue/poller.js";
import { View } from "./queue/view.js";

const NEAR = 4; // seconds until the next answer: not worth a look at the board

const root = document.getElementById("queue");
const { workerUrl } = root.dataset;
const view = new View(root);
const chime = new Chime(document.getElementById("sound"));

const watcher = new BoardWatcher({
  url: root.dataset.boardUrl,
  workerUrl,
  isWorthIt: () => poller.secondsLeft > NEAR,
  onPlace: (peopleAhead) => view.showAhead(peopleAhead),
  onState: (state, pauseReason) => view.showState(state, pauseReason),
  onNotice: (notice) => view.showNotice(notice),
  onChange: () => poller.askSoon(),
});

const poller = new Poller({
  url: root.dataset.statusUrl,
  workerUrl,
  onAnswer: show,
  onTrouble: (trouble) => view.showTrouble(trouble),
  // The server knows what became of the place, and says so on its page.
  onRefused: () => location.reload(),
});

function show(place) {
  if (place.status === "WAITING") {
    view.showPlace(place);
    if (place.people_ahead) watcher.countFrom(place.people_ahead);
    else if (place.people_ahead === null) watcher.watch(place.state);
    else watcher.stop();
    return;
  }
  poller.stop();
  watcher.stop();
  if (place.status === "ACTIVE") {
    view.showTurn();
    chime.play().finally(() => location.replace(root.dataset.seatsUrl));
  } else {
    location.reload();
  }
}

const known = document.getElementById("queue-answer");
if (known) show(JSON.parse(known.textContent));
poller.begin(Number(root.dataset.askAfter), Number(root.dataset.grace));
