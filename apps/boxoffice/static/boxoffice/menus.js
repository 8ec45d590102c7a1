// The theme opens the menus among the buttons of a page by click alone. Let a keyboard reach and open them, and a screen reader call them buttons.
addEventListener("DOMContentLoaded", () => {
  for (const opener of document.querySelectorAll("#header-inner li > a:not([href])")) {
    opener.tabIndex = 0;
    opener.role = "button";
    opener.ariaHasPopup = "menu";
    opener.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        opener.click();
      }
    });
  }
});
