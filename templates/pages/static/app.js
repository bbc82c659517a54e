// Progressive: every page works without this file; with it, counts and progress follow by themselves.
"use strict";

// Ask once more before what cannot be taken back.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// A form that was edited and not sent: leaving the page asks first.
for (const form of document.querySelectorAll("form[data-keep]")) {
  let touched = false;
  form.addEventListener("input", () => { touched = true; });
  form.addEventListener("submit", () => { touched = false; });
  window.addEventListener("beforeunload", (event) => { if (touched) event.preventDefault(); });
}

async function asked(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  return answer.json();
}

// How many an audience means, while it is being written.
for (const place of document.querySelectorAll("[data-count]")) {
  const form = place.closest("form");
  let waiting = 0;
  let latest = 0;
  const count = async () => {
    const mine = ++latest;
    const query = new URLSearchParams(new FormData(form));
    query.delete("csrf");
    try {
      const found = await asked(`${place.dataset.count}?${query}`);
      if (mine !== latest) return;
      place.classList.toggle("wrong", "error" in found);
      place.textContent = found.error ?? found.message;
    } catch { /* offline: the number stays as it is */ }
  };
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(count, 300); });
  count();
}

// Text to be pasted elsewhere: a button where the browser lets us write to the clipboard.
for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = button.dataset.done;
  });
}

// Why letters wait, a paragraph for each reason; untouched while it stays the same.
function waits(place, texts) {
  const shown = Array.from(place?.children ?? [], (each) => each.textContent);
  if (!place || shown.join("\n") === texts.join("\n")) return;
  place.hidden = !texts.length;
  place.replaceChildren(...texts.map((text) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    return paragraph;
  }));
}

// A campaign on its way: the figures, every second, until nothing waits any more; a million letters take
// longer to count, and are counted more seldom: a tenth of the time at most.
for (const place of document.querySelectorAll("[data-follow]")) {
  const follow = async () => {
    const began = performance.now();
    try {
      const found = await asked(place.dataset.follow);
      if (found.state && found.state !== place.dataset.state) return window.location.reload();
      for (const [name, text] of Object.entries(found.figures ?? {})) {
        for (const shown of place.querySelectorAll(`[data-figure="${name}"]`)) shown.textContent = text;
      }
      waits(place.querySelector("[data-waits]"), found.waits ?? []);
      const bar = place.querySelector("progress");
      if (bar && found.progress !== undefined) bar.value = found.progress;
    } catch { /* out of reach for a moment: asked again in a second */ }
    setTimeout(follow, Math.max(document.hidden ? 5000 : 1000, 9 * (performance.now() - began)));
  };
  setTimeout(follow, 1000);
}

// The segment editor: its page is posted as it is filled in, and parts of the answer take the old ones' places.
for (const form of document.querySelectorAll("form[data-look]")) {
  const PAUSE = 400;
  let waiting = 0;
  let latest = 0;
  const look = async (doing, which) => {
    clearTimeout(waiting);
    const rule = form.querySelector('[data-part="rule"]');
    if (rule.inert && which !== "*") return; // all of it is on its way
    const mine = ++latest;
    const filled = new URLSearchParams(new FormData(form));
    filled.set("do", doing);
    const focused = document.activeElement?.id;
    rule.inert = which === "*"; // what is changed meanwhile would be lost
    try {
      const answer = await fetch(form.dataset.look, { method: "POST", body: filled });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (mine !== latest || !answer.ok) return;
      for (const part of form.querySelectorAll("[data-part]")) {
        const fresh = page.querySelector(`[data-part="${part.dataset.part}"]`);
        if (fresh && (which === "*" || part.dataset.part !== "rule")) part.replaceChildren(...fresh.childNodes);
      }
    } catch { /* offline: what is shown stays */ }
    if (mine === latest) {
      rule.inert = false;
      if (which === "*" && focused) document.getElementById(focused)?.focus();
    }
  };
  form.addEventListener("submit", (event) => {
    const which = event.submitter?.dataset.lookAt;
    if (!which) return;
    event.preventDefault();
    look(event.submitter.value, which);
  });
  form.addEventListener("change", (event) => { if (event.target.dataset.lookAt) look("look", "*"); });
  form.addEventListener("input", (event) => {
    if (event.target.dataset.lookAt && event.target.matches("select")) return; // its change says it all
    if (["name", "description"].includes(event.target.name)) return;
    clearTimeout(waiting);
    waiting = setTimeout(() => look("look", "found"), PAUSE);
  });
}

// A choice that counts in place of what is written below: what does not count is out of sight.
for (const choice of document.querySelectorAll("[data-instead]")) {
  const place = document.getElementById(choice.dataset.instead).closest(".field");
  const show = () => { place.hidden = choice.value !== ""; };
  choice.addEventListener("change", show);
  show();
}

// Figures that come after the page, one after the other.
(async () => {
  for (const place of document.querySelectorAll("[data-fill]")) {
    try {
      place.textContent = (await asked(place.dataset.fill)).message;
    } catch { /* offline: the link stays */ }
  }
})();

// A form in busy times: this browser works for a second, so that its person has no sum to do.
async function solve(puzzle) {
  const encoder = new TextEncoder();
  for (let work = 0; ; work += 1) {
    const digest = await crypto.subtle.digest("SHA-256", encoder.encode(`${puzzle}:${work}`));
    const begins = new DataView(digest).getUint16(0);
    if (begins === 0) return String(work);
  }
}

for (const place of window.crypto?.subtle ? document.querySelectorAll("[data-puzzle]") : []) {
  const form = place.closest("form");
  const part = (name) => place.querySelector(`[data-${name}]`);
  const button = form.querySelector("button");
  part("asking").hidden = true;
  part("working").hidden = false;
  button.disabled = true;
  solve(place.dataset.puzzle).then((work) => {
    form.elements.work.value = work;
    part("working").hidden = true;
    part("ready").hidden = false;
    button.disabled = false;
  });
}

// On a phone the row of pages scrolls: the one that is open is in sight.
document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
