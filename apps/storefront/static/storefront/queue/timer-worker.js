// A clock that browsers do not slow down: timers of a tab in the background fire once a minute, those of a worker in time.

let timer;

self.addEventListener("message", ({ data: milliseconds }) => {
  clearTimeout(timer);
  timer = setTimeout(() => self.postMessage("over"), milliseconds);
});
