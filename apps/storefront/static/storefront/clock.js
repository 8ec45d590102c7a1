// Time on a page. Where it begins, the server says; how it passes, the device: the visitor's clock alone decides nothing.

const LEAP = 3_000; // ms by which the clock of a device runs ahead of the page's while it sleeps, and not otherwise

const ahead = () => Date.now() - performance.now();

let aheadBefore = ahead();
let sleep = 0; // ms

/** Milliseconds for which the device has slept, and the page's own clock stood still, since the page began. */
export function slept() {
  const leap = ahead() - aheadBefore;
  // A leap back is a clock that was set right: no sleep, and it hides none that comes.
  if (Math.abs(leap) > LEAP) aheadBefore += leap;
  if (leap > LEAP) sleep += leap;
  return sleep;
}

/** Milliseconds since the page began, those included that the device slept. Never goes back. */
export function now() {
  return performance.now() + slept();
}

/** 12:34 or 1:02:03 for a number of seconds, as the server writes it. */
export function clock(seconds) {
  const left = Math.max(0, Math.ceil(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(left / 3600), Math.floor(left / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
}
