"""What can be told of a page by looking at it: labels, names, headings, contrast. Nothing is fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

_LOOK = """() => {
  const found = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const called = (one) => `${one.tagName.toLowerCase()} ${one.id || one.textContent.trim().slice(0, 30)}`;
  const named = (one) => one.labels?.length || one.ariaLabel || one.getAttribute("aria-labelledby");
  for (const one of all("input:not([type=hidden]), select, textarea"))
    if (!named(one)) found.push(`no label: ${one.name}`);
  for (const one of all("a, button"))
    if (!one.textContent.trim() && !one.ariaLabel) found.push(`no words: ${one.outerHTML.slice(0, 60)}`);
  for (const one of all("img:not([alt]), iframe:not([title])")) found.push(`no text instead: ${called(one)}`);
  const ids = all("[id]").map((one) => one.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`twice: #${id}`);
  for (const one of all("[aria-describedby]"))
    for (const id of one.getAttribute("aria-describedby").split(" "))
      if (!ids.includes(id)) found.push(`described by what is not there: ${id}`);
  const levels = all("h1, h2, h3, h4").map((one) => Number(one.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) found.push(`headings: ${levels}`);
  if (levels.some((level, n) => n && level > levels[n - 1] + 1)) found.push(`headings jump: ${levels}`);
  if (!document.documentElement.lang || !document.getElementById("main")) found.push("no language or main");

  // WCAG 2.2, 1.4.3: text stands out from what is behind it by 4.5 to 1, large text by 3 to 1
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = colour.map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = parts(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const one = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !one.checkVisibility() || one.tagName === "OPTION") continue;
    const style = getComputedStyle(one);
    const [less, more] = [light(parts(style.color).slice(0, 3)), light(behind(one))].sort((a, b) => a - b);
    const ratio = (more + 0.05) / (less + 0.05);
    const least = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (ratio < least) found.push(`${ratio.toFixed(1)} to 1: ${called(one)}`);
  }
  return [...new Set(found)];
}"""


def faults(page: Page) -> list[str]:
    """Return what somebody who cannot see it well would stumble over, in light and in dark."""
    found: list[str] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found += [f"{scheme}: {each}" for each in page.evaluate(_LOOK)]
    return found
