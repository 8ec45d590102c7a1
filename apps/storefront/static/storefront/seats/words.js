// The sentences of the page, in the visitor's language; the server wrote them into it.

const words = JSON.parse(document.getElementById("seat-words").textContent);
const language = document.documentElement.lang;

export function say(name, values = {}) {
  return words[name].replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

export const figure = (number) => number.toLocaleString(language);

export const won = (amount) => say("won", { amount: amount.toLocaleString("en") });
