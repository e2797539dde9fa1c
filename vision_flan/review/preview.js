"use strict";
const images = JSON.parse(document.getElementById("images").textContent);
const cards = [...document.querySelectorAll(".task")];
const search = document.getElementById("search");
const filters = [...document.querySelectorAll("select[data-filter]")];
const counter = document.getElementById("counter");

// An image gets its data when its card comes near the screen: a page of a thousand images opens at once.
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const image of entry.target.querySelectorAll("img[data-image]")) {
      image.src = images[Number(image.dataset.image)];
      image.removeAttribute("data-image");
    }
    seen.unobserve(entry.target);
  }
}, { rootMargin: "600px" });
cards.forEach((card) => seen.observe(card));

const words = new Map(cards.map((card) => [card, card.textContent.toLowerCase()]));

function apply() {
  const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const card of cards) {
    const fits = terms.every((term) => words.get(card).includes(term))
      && filters.every((filter) => !filter.value || card.dataset[filter.dataset.filter] === filter.value);
    card.hidden = !fits;
    shown += fits ? 1 : 0;
  }
  counter.textContent = `${shown} of ${cards.length} tasks`;
}

search.addEventListener("input", apply);
filters.forEach((filter) => filter.addEventListener("change", apply));

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}
document.getElementById("theme").addEventListener("click", toggleTheme);

function step(by) {
  const open = cards.filter((card) => !card.hidden);
  if (!open.length) return;
  const at = open.indexOf(document.activeElement.closest(".task"));
  const next = open[at < 0 ? (by > 0 ? 0 : open.length - 1) : Math.min(Math.max(at + by, 0), open.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "start" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
  if (event.key === "Escape" && event.target === search) {
    search.value = "";
    search.blur();
    apply();
  } else if (typing) {
    return;
  } else if (event.key === "/") {
    event.preventDefault();
    search.focus();
  } else if (event.key === "j" || event.key === "k") {
    step(event.key === "j" ? 1 : -1);
  } else if (event.key === "t") {
    toggleTheme();
  }
});

apply();

// Served by `vflan preview --serve`: the page is loaded again when a spec or a template was saved.
if (location.protocol.startsWith("http")) {
  let stamp = null;
  setInterval(async () => {
    try {
      const now = await (await fetch("stamp")).text();
      if (stamp !== null && now !== stamp) location.reload();
      stamp = now;
    } catch { /* the server was stopped */ }
  }, 500);
}
