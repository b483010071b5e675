// Elements made of names and texts. Whatever comes from a document, a policy or a caller is put in as text, never as markup.

let made = 0;

/** A fresh id, for labels and descriptions. */
export function freshId(prefix = "e") {
  made += 1;
  return `${prefix}-${made}`;
}

/**
 * element("p", {class: "quiet", on: {click: f}}, "text", child, ...)
 * An attribute that is false, null or undefined is left out; one that is true stands without a value.
 */
export function element(name, attributes = {}, ...children) {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") {
      for (const [event, does] of Object.entries(value)) found.addEventListener(event, does);
    } else if (value !== false && value !== null && value !== undefined) {
      found.setAttribute(key, value === true ? "" : String(value));
    }
  }
  fill(found, ...children);
  return found;
}

/** Appends children; lists are taken apart, null and false are nothing, all else that is no node is text. */
export function fill(place, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    place.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return place;
}

export function replace(place, ...children) {
  place.replaceChildren();
  return fill(place, ...children);
}

export function button(label, does, attributes = {}) {
  return element("button", { type: "button", on: { click: does }, ...attributes }, label);
}

/** A control with its label, and a hint that is read with it. */
export function field(label, control, hint = "", attributes = {}) {
  control.id = control.id || freshId("field");
  const about = hint ? element("p", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (about) control.setAttribute("aria-describedby", about.id);
  return element("div", { class: "field", ...attributes }, element("label", { for: control.id }, label), control, about);
}

export function input(name, value = "", attributes = {}) {
  const found = element("input", { name, type: "text", autocomplete: "off", spellcheck: "false", ...attributes });
  found.value = value ?? "";
  return found;
}

/** Options are texts, or [value, label]. */
export function select(name, options, chosen = "", attributes = {}) {
  const found = element("select", { name, ...attributes });
  for (const one of options) {
    const [value, label] = Array.isArray(one) ? one : [one, one];
    found.append(element("option", { value, selected: value === chosen }, label));
  }
  return found;
}

/**
 * A table that becomes cards where there is no room: each cell knows its column's name.
 * Cells are texts, nodes, or lists of them; with `rowHeads` the first of a row is its heading.
 */
export function table(caption, columns, rows, { rowHeads = true, className = "" } = {}) {
  const head = element("tr", {}, columns.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map((row) =>
    element("tr", {}, row.map((cell, n) => {
      const isHead = rowHeads && n === 0;
      return element(isHead ? "th" : "td", { "data-name": columns[n], scope: isHead ? "row" : null },
        element("div", { class: "cell" }, cell));
    })));
  return element("div", { class: `sheet ${className}` },
    element("table", {},
      element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, body)));
}

/** A short word about a state, with a sign of its own: never told by colour alone. */
export function badge(kind, sign, word) {
  return element("span", { class: `badge ${kind}` },
    element("span", { "aria-hidden": "true", class: "sign" }, sign), word);
}

export function code(text, attributes = {}) {
  return element("code", attributes, text);
}

export function block(text, label) {
  return element("pre", { tabindex: "0", role: "region", "aria-label": label }, element("code", {}, text));
}

export function folded(summary, ...children) {
  return element("details", {}, element("summary", {}, summary), ...children);
}

export function notice(kind, ...children) {
  return element("div", { class: `notice ${kind}` }, ...children);
}

/** Says what happened to those who do not see the page change. */
export function liveRegion() {
  return element("div", { class: "results", role: "status", "aria-live": "polite" });
}

export function heading(level, text, attributes = {}) {
  return element(`h${level}`, attributes, text);
}

/** Any value on one line, as JSON where it is no text. */
export function plain(value) {
  return typeof value === "string" ? value : JSON.stringify(value) ?? "";
}

/** A moment as the reader's own clock has it; the exact one stands in its title. */
export function moment(text) {
  if (!text) return "";
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return plain(text);
  return element("time", { datetime: text, title: text }, at.toLocaleString());
}

export function listOf(names, none = "nothing") {
  if (!names || names.length === 0) return element("span", { class: "quiet" }, none);
  return element("ul", { class: "names" }, names.map((one) => element("li", {}, code(plain(one)))));
}
