// Forms with data-once are sent once for each time their page is shown; the server makes sure of it in any case.
// Buttons with data-print print the page.

const sent = new WeakSet();

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!("once" in form.dataset)) return;
  if (sent.has(form)) {
    event.preventDefault();
    return;
  }
  sent.add(form);
  // After the browser has read the form: a disabled button would not be sent.
  setTimeout(() => {
    for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = true;
    event.submitter?.setAttribute("aria-busy", "true");
  });
});

// A page that comes back from the browser's memory has a key that was used, and figures that were true then.
addEventListener("pageshow", (event) => {
  if (event.persisted && document.querySelector("form[data-once]")) {
    location.replace(location.pathname + location.search);
  }
});

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
