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

// A campaign on its way: the figures, every second, until nothing waits any more.
for (const place of document.querySelectorAll("[data-follow]")) {
  const follow = async () => {
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
    setTimeout(follow, document.hidden ? 5000 : 1000);
  };
  setTimeout(follow, 1000);
}

// On a phone the row of pages scrolls: the one that is open is in sight.
document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
