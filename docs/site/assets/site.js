// Names and tab stops that the theme leaves out, for people who use a screen reader or a keyboard.
let number = 0;
function complete() {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  document.querySelectorAll(".md-code__nav:not([aria-label])").forEach((nav) => {
    nav.setAttribute("aria-label", `Code ${number += 1}`);
  });
  document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])").forEach((wrap) => {
    wrap.tabIndex = 0;
    wrap.setAttribute("role", "region");
    wrap.setAttribute("aria-label", `Table ${number += 1}`);
  });
}
complete();
new MutationObserver(complete).observe(document.body, { childList: true, subtree: true });
