// A page that could not be decided about comes again by itself: as soon as that is possible,
// and not before, so that whoever reads it is not disturbed. Not all browsers at once.
"use strict";
(() => {
  const said = document.querySelector("[data-reload]");
  said.hidden = false;
  let wait = 2000;
  const later = () => setTimeout(look, wait * (1 + Math.random()));
  const look = async () => {
    const answer = await fetch(said.dataset.reload, { cache: "no-store", credentials: "omit" }).catch(() => null);
    if (answer && answer.ok) {
      location.reload();
      return;
    }
    wait = Math.min(wait * 1.5, 30_000);
    later();
  };
  later();
  // The address of a link would lose the secret after the #.
  for (const again of document.querySelectorAll("a.button")) {
    again.addEventListener("click", (event) => {
      event.preventDefault();
      location.reload();
    });
  }
})();
