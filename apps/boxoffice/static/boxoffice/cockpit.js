// Fetches the figures of a sale every other second, and replaces the parts that are others now. Without it the page is loaded anew by hand.

const PAUSE = 2000; // milliseconds between an answer and the next question
const FAILURES = 3; // in a row, before the page says so
const LONGEST = 15000; // milliseconds for one answer

const page = document.querySelector("[data-figures]");
const notice = document.querySelector("[data-standstill]");
let pass = page.dataset.pass;
let failures = 0;
let timer = 0;

function isInUse(part) {
  const selection = document.getSelection();
  return (
    part.contains(document.activeElement) ||
    (selection && !selection.isCollapsed && selection.intersectsNode(part))
  );
}

function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const part of page.querySelectorAll("[data-part]")) {
    const next = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    if (next && next.innerHTML !== part.innerHTML && !isInUse(part)) {
      part.replaceChildren(...next.childNodes);
    }
  }
}

async function refresh() {
  timer = 0;
  try {
    const answer = await fetch(page.dataset.figures, {
      headers: { "X-Figures-Pass": pass },
      redirect: "error",
      signal: AbortSignal.timeout(LONGEST),
    });
    if (!answer.ok) {
      throw new Error(`answered ${answer.status}`);
    }
    pass = answer.headers.get("X-Figures-Pass") ?? pass;
    show(await answer.text());
    failures = 0;
  } catch {
    failures += 1;
  }
  notice.hidden = failures < FAILURES;
  wait();
}

function wait() {
  if (!timer && !document.hidden) {
    timer = setTimeout(refresh, PAUSE * Math.min(1 + failures, 5));
  }
}

document.addEventListener("visibilitychange", wait);
wait();
