// Time on a page. Where it begins, the server says; how it passes, the device: the visitor's clock alone decides nothing.

const SLEPT = 3_000; // ms by which the clock of a device runs ahead of the page's while it sleeps, and not otherwise

const ahead = () => Date.now() - performance.now();
const aheadAtFirst = ahead();

/** Milliseconds since the page began, those included that the device slept: there the page's own clock may stand still. */
export function now() {
  const slept = ahead() - aheadAtFirst;
  return performance.now() + (slept > SLEPT ? slept : 0);
}

/** 12:34 or 1:02:03 for a number of seconds, as the server writes it. */
export function clock(seconds) {
  const left = Math.max(0, Math.ceil(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(left / 3600), Math.floor(left / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
}
