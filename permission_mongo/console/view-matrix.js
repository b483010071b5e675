// Who may do what: a table of roles and actions for each collection; a cell opens its rules.

import { badge, button, element, field, heading, replace, select, table } from "./dom.js";
import { linkTo, remember } from "./route.js";
import { ruleCard } from "./rules.js";
import { opened } from "./telling.js";

export const title = "Who may do what";
export const about = "By the text of the policy: what each role may do in its own tenant. Open a cell to read the rules behind it.";

const EXTENTS = {
  all: ["good", "●", "all"],
  some: ["warn", "◐", "some"],
  none: ["open", "–", "none"],
};
const SENTENCES = {
  all: "All documents of the tenant.",
  some: "Some documents: those that a rule below allows and none denies.",
  none: "No document.",
};

export async function show(place, params, session) {
  const matrix = await session.matrix();
  const state = Object.fromEntries(["collection", "role", "of", "to", "in"].map((one) => [one, params.get(one) ?? ""]));
  const tables = element("div", {});
  const draw = () => replace(tables, sections(matrix, state, (at) => openCell(matrix, state, at)));
  const chosen = (name) => (event) => {
    state[name] = event.target.value;
    remember("matrix", state);
    draw();
  };
  const choice = (name, all, options) =>
    select(name, [["", all], ...options.map((one) => one.name)], state[name], { on: { change: chosen(name) } });
  replace(place,
    element("div", { class: "filters" },
      field("Collection", choice("collection", "all collections", matrix.collections)),
      field("Role", choice("role", "all roles", matrix.roles)),
      legend()),
    tables);
  draw();
  if (state.of && state.to && state.in) openCell(matrix, state, { role: state.of, action: state.to, collection: state.in });
}

function legend() {
  return element("p", { class: "legend", role: "note" },
    badge(...EXTENTS.all), " of the tenant's documents ", badge(...EXTENTS.some), " by conditions ", badge(...EXTENTS.none), " not allowed");
}

function sections(matrix, state, open) {
  const cells = new Map(matrix.cells.map((one) => [keyOf(one.collection, one.role, one.action), one]));
  return matrix.collections
    .filter((one) => !state.collection || one.name === state.collection)
    .map((collection) => section(collection, matrix, state, { cells, open }));
}

const keyOf = (...parts) => JSON.stringify(parts);

function section(collection, matrix, state, { cells, open }) {
  const roles = matrix.roles.filter((one) => !state.role || one.name === state.role);
  const rows = roles.map((role) => [
    roleHead(role),
    ...matrix.actions.map((action) => {
      const cell = cells.get(keyOf(collection.name, role.name, action));
      return cell ? cellButton(cell, open) : element("span", { class: "empty" }, badge(...EXTENTS.none));
    }),
  ]);
  return element("section", { class: "card matrix-of" },
    heading(2, collection.name),
    element("p", { class: "quiet small" }, factsOf(collection)),
    table(`Roles and actions in ${collection.name}`, ["role", ...matrix.actions], rows, { className: "wide" }));
}

function roleHead(role) {
  const more = [
    role.inherits.length ? `as ${role.inherits.join(", ")}, and more` : "",
    role.cross_tenant ? "crosses tenants" : "",
    role.system.length ? `may ${role.system.join(", ")}` : "",
  ].filter(Boolean);
  return [element("strong", {}, role.name), more.length ? element("span", { class: "quiet small below" }, more.join("; ")) : null];
}

function factsOf(collection) {
  return [
    collection.tenant_field ? `tenants by ${collection.tenant_field}` : "no tenants",
    collection.owner_field ? `owners by ${collection.owner_field}` : "no owners",
    collection.versioned ? "keeps versions" : "keeps no versions",
  ].join(", ");
}

function cellButton(cell, open) {
  const [kind, sign, word] = EXTENTS[cell.extent];
  return button(badge(kind, sign, word), () => open(cell), {
    class: "cell-button",
    "aria-label": `${cell.role}, ${cell.action} in ${cell.collection}: ${word}. Show the rules`,
  });
}

function openCell(matrix, state, { role, action, collection }) {
  const cell = matrix.cells.find((one) => one.role === role && one.action === action && one.collection === collection);
  if (!cell) return;
  remember("matrix", { ...state, of: role, to: action, in: collection });
  const rules = cell.rules.map((n) => matrix.rules[n]);
  opened(`${role}: ${action} in ${collection}`, element("div", {},
    element("p", {}, badge(...EXTENTS[cell.extent]), " ", SENTENCES[cell.extent], " ", noteOf(cell, rules)),
    element("p", {}, element("a", { href: linkTo("try", { roles: role, action, collection, who: "typed" }) }, "Try it with somebody")),
    rules.map((rule) => ruleCard(rule, role))),
  () => {
    Object.assign(state, { of: "", to: "", in: "" });
    if (location.hash.startsWith("#/matrix")) remember("matrix", state);
  });
}

function noteOf(cell, rules) {
  const needsRead = cell.action !== "read" && cell.action !== "create";
  if (cell.extent === "none" && rules.some((one) => one.effect === "allow" && !one.hides) && needsRead) {
    return "A rule allows it, but whoever may not read may not do it either, and only collections with versions restore.";
  }
  return needsRead ? "The right to read is needed as well, and is part of this." : "";
}
