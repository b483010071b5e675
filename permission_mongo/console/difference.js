// Two texts, line by line: what was taken out and what was put in.

import { element } from "./dom.js";

const AROUND = 2; // lines that are shown about a change
const MOST = 2000; // lines between the common ends; beyond that all of it counts as changed

/** [[kind, text], ...] with kind " ", "-" or "+". */
export function differences(before, after) {
  const old = before.split("\n");
  const young = after.split("\n");
  let start = 0;
  while (start < old.length && start < young.length && old[start] === young[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < young.length - start && old.at(-1 - end) === young.at(-1 - end)) end += 1;
  const middle = between(old.slice(start, old.length - end), young.slice(start, young.length - end));
  const same = (lines) => lines.map((one) => [" ", one]);
  return [...same(old.slice(0, start)), ...middle, ...same(end ? old.slice(-end) : [])];
}

function between(old, young) {
  if (old.length > MOST || young.length > MOST) {
    return [...old.map((one) => ["-", one]), ...young.map((one) => ["+", one])];
  }
  const longest = lengths(old, young);
  const found = [];
  let i = 0;
  let j = 0;
  while (i < old.length && j < young.length) {
    if (old[i] === young[j]) {
      found.push([" ", old[i]]);
      i += 1;
      j += 1;
    } else if (longest[i + 1][j] >= longest[i][j + 1]) {
      found.push(["-", old[i]]);
      i += 1;
    } else {
      found.push(["+", young[j]]);
      j += 1;
    }
  }
  return [...found, ...old.slice(i).map((one) => ["-", one]), ...young.slice(j).map((one) => ["+", one])];
}

/** Of each pair of tails how many lines they have in common, in order. */
function lengths(old, young) {
  const found = Array.from({ length: old.length + 1 }, () => new Uint16Array(young.length + 1));
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = young.length - 1; j >= 0; j -= 1) {
      found[i][j] = old[i] === young[j] ? found[i + 1][j + 1] + 1 : Math.max(found[i + 1][j], found[i][j + 1]);
    }
  }
  return found;
}

/** The changed lines and those about them. */
export function differenceBlock(before, after) {
  const lines = differences(before, after);
  const near = new Set();
  lines.forEach(([kind], n) => {
    if (kind !== " ") for (let m = n - AROUND; m <= n + AROUND; m += 1) near.add(m);
  });
  if (near.size === 0) return element("p", { class: "quiet" }, "Nothing is changed.");
  const shown = [];
  lines.forEach(([kind, text], n) => {
    if (near.has(n)) shown.push(line(kind, text));
    else if (near.has(n - 1)) shown.push(element("span", { class: "gap" }, "⋯\n"));
  });
  return element("pre", { class: "difference", tabindex: "0", role: "region", "aria-label": "Changed lines" }, shown);
}

function line(kind, text) {
  const name = { "-": "del", "+": "ins", " ": "span" }[kind];
  return element(name, {}, `${kind} ${text}\n`);
}
