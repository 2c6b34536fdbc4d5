// Search and filter over what the page already shows. Without it nothing is missing but these controls.
(() => {
  "use strict";
  const controls = document.getElementById("controls");
  const words = document.getElementById("words");
  const kind = document.getElementById("kind");
  const held = document.getElementById("held");
  const says = document.getElementById("says");
  const rows = Array.from(document.querySelectorAll("li[data-do]"));
  const groups = Array.from(document.querySelectorAll("[data-group]"));
  const WAIT = 150; // milliseconds without a key before the page is searched
  let texts = null;
  let timer = 0;

  const fits = (row, text, wanted) =>
    (kind.value === "" || row.dataset.do === kind.value) &&
    (!held.checked || "held" in row.dataset) &&
    wanted.every((word) => text.includes(word));

  const filter = () => {
    texts ??= rows.map((row) => row.textContent.toLowerCase());
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, place) => {
      const fit = fits(row, texts[place], wanted);
      shown += fit;
      if (row.hidden === fit) row.hidden = !fit;
    });
    for (const group of groups) group.hidden = group.querySelector("li[data-do]:not([hidden])") === null;
    const all = shown === rows.length;
    says.textContent = all ? `All ${rows.length} shown.` : `${shown} of ${rows.length} shown.`;
  };

  words.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(filter, WAIT);
  });
  kind.addEventListener("change", filter);
  held.addEventListener("change", filter);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.addEventListener("reset", () => setTimeout(filter));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.matches("input, select")) return;
    event.preventDefault();
    words.focus();
  });
  if (rows.length > 0) controls.hidden = false;
})();
