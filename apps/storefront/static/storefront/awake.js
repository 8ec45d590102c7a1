// Watches over the scripts of a page, so that what they cannot do in some browser, the page does without them. This file alone is
// written in words that every browser knows. Where not even it runs, the page is one without scripts.
//
//   data-seconds      the scripts have failed if they say nothing for so long; or earlier, if one cannot be loaded or throws
//   data-grace        seconds that may be added to others, for pages that wait: more could cost the place
//   data-status-url   the page waits: a failure loads it anew once this address answers, and until this file runs it does so by itself
//
// The scripts call `scriptsWork(seconds)`: they will say so again by then; or `scriptsWork()`: they need not.

(function () {
  var script = document.currentScript || document.scripts[document.scripts.length - 1];
  var GRACE = Number(script.getAttribute("data-grace")) || Infinity; // s
  var SLOW = Math.min(10, GRACE); // s that loading them may take
  var RETRY = Math.min(30, GRACE); // s
  var BREATH = 3; // s for scripts that have worked before: after a sleep of the device both are late
  var statusUrl = script.getAttribute("data-status-url");
  var page = document.documentElement;
  var hasHeard = false;
  var isSure = false;
  var question;
  var timer;

  function wait(seconds) {
    clearTimeout(timer);
    timer = setTimeout(statusUrl ? ask : fail, seconds * 1000);
  }

  function fail() {
    page.classList.remove("scripts");
  }

  // A page that is loaded while the server does not answer is lost; the answer itself keeps the place meanwhile.
  function ask() {
    var request = new XMLHttpRequest();
    question = request;
    request.open("GET", statusUrl);
    request.timeout = 10000; // ms
    request.onloadend = function () {
      if (question !== request) return; // the scripts were faster
      var isTrouble = request.status === 0 || request.status === 429 || request.status >= 500;
      if (isTrouble) wait(Number(request.getResponseHeader("Retry-After")) || RETRY);
      else timer = setTimeout(renew, hasHeard ? BREATH * 1000 : 0);
    };
    request.send();
  }

  function renew() {
    location.replace(location.pathname + location.search);
  }

  function notice(event) {
    var isOfScript = event.target === window || event.target.tagName === "SCRIPT"; // and not of a picture
    if (isOfScript && !isSure) fail();
  }

  if (!("noModule" in script)) fail();
  else page.classList.add("scripts");
  window.scriptsWork = function (seconds) {
    page.classList.add("scripts");
    clearTimeout(timer);
    question = undefined;
    hasHeard = true;
    isSure = seconds === undefined;
    if (!isSure) wait(seconds);
  };
  window.addEventListener("error", notice, true);
  window.addEventListener("unhandledrejection", notice);
  wait(Number(script.getAttribute("data-seconds")) + SLOW);
  // What follows in the page, down to the end of a comment, is for where this does not run.
  if (statusUrl) document.write("<!--");
})();
