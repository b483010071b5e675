// A text with numbered lines, of which some are marked. A textarea: what people and their tools know.

import { element } from "./dom.js";

/** {place, area, mark(lines), goTo(line, column)}. */
export function editor(text, label, onInput) {
  const gutter = element("div", { class: "gutter", "aria-hidden": "true" });
  const area = element("textarea", {
    id: "policy-text", class: "code", "aria-label": label, spellcheck: "false", wrap: "off", rows: "26",
    autocapitalize: "off", autocomplete: "off",
  });
  area.value = text;
  let marked = new Set();
  const draw = () => number(gutter, area, marked);
  area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
  area.addEventListener("input", () => {
    draw();
    onInput(area.value);
  });
  draw();
  return {
    place: element("div", { class: "editor" }, gutter, area),
    area,
    mark(lines) {
      marked = new Set(lines);
      draw();
    },
    goTo: (line, column = 1) => goTo(area, line, column),
    set(value) {
      area.value = value;
      draw();
    },
  };
}

function number(gutter, area, marked) {
  const count = area.value.split("\n").length;
  gutter.replaceChildren();
  for (let n = 1; n <= count; n += 1) {
    gutter.append(element("span", { class: marked.has(n) ? "marked" : null }, marked.has(n) ? `✗ ${n}` : String(n)));
  }
  gutter.scrollTop = area.scrollTop;
}

function goTo(area, line, column) {
  const lines = area.value.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  const end = before + (lines[line - 1]?.length ?? 0);
  area.focus();
  area.setSelectionRange(Math.min(before + column - 1, end), end);
  const height = area.scrollHeight / lines.length;
  area.scrollTop = Math.max(0, (line - 6) * height);
}
