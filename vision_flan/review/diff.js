"use strict";
const cards = [...document.querySelectorAll(".task")];
const rows = [...document.querySelectorAll("article")];
const search = document.getElementById("search");
const kind = document.getElementById("kind");
const counter = document.getElementById("counter");
const words = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

function apply() {
  const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const filtered = terms.length > 0 || kind.value !== "";
  let shown = 0;
  for (const row of rows) {
    const fits = terms.every((term) => words.get(row).includes(term)) && (!kind.value || row.dataset.kind === kind.value);
    row.hidden = !fits;
    shown += fits ? 1 : 0;
  }
  for (const card of cards) card.hidden = filtered && !card.querySelector("article:not([hidden])");
  counter.textContent = `${shown} of ${rows.length} instances shown here`;
}
search.addEventListener("input", apply);
kind.addEventListener("change", apply);
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT)$/.test(event.target.tagName)) {
    event.preventDefault();
    search.focus();
  }
});
apply();
