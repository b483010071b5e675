// Try: one question to the rules, and every clause of the answer.

import { ask, get, pathOf, post } from "./api.js";
import { badge, block, code, element, field, folded, heading, input, liveRegion, listOf, notice, plain, replace, select, table } from "./dom.js";
import { personChoice } from "./people.js";
import { remember } from "./route.js";
import { needSection } from "./rules.js";
import { columnsOf, errorNotice, short, showing } from "./telling.js";

export const title = "Try";
export const about = "Why can somebody see or change a document, and why not? Ask, and every clause of every rule answers.";

const ACTIONS = ["read", "create", "update", "delete", "restore", "aggregate", "purge"];
const STATE = ["who", "sub", "tenant", "roles", "claims", "action", "collection", "id", "filter"];
const MOST_SHOWN = 10;

export async function show(place, params, session) {
  const state = Object.fromEntries(STATE.map((one) => [one, params.get(one) ?? ""]));
  const matrix = await session.matrix().catch(() => null);
  const form = questionForm(matrix, session.me, state);
  const results = liveRegion();
  form.place.addEventListener("submit", (event) => {
    event.preventDefault();
    remember("try", { ...form.person.values(), ...form.values() });
    answer(results, form, session);
  });
  replace(place, form.place, results);
  if (params.get("action") && params.get("collection") && state.who !== "typed") answer(results, form, session);
}

function questionForm(matrix, me, state) {
  const collections = matrix ? matrix.collections.map((one) => one.name) : Object.keys(me.collections);
  const controls = {
    action: select("action", ACTIONS, state.action || "read"),
    collection: select("collection", collections, state.collection),
    id: input("id", state.id),
    filter: element("textarea", { name: "filter", rows: "2", spellcheck: "false", placeholder: '{"status": "draft"}' }),
  };
  controls.filter.value = state.filter;
  const person = personChoice(matrix, me, state);
  const place = element("form", { class: "card" },
    person.place,
    element("div", { class: "grid" },
      field("Action", controls.action),
      field("Collection", controls.collection),
      field("Document", controls.id, "Its id. Left empty: which documents at all."),
      field("Filter", controls.filter, "As JSON, instead of an id.")),
    element("button", { class: "primary" }, "Explain"));
  const values = () => Object.fromEntries(Object.entries(controls).map(([name, one]) => [name, one.value.trim()]));
  return { place, person, values };
}

function questionOf(form) {
  const { action, collection, id, filter } = form.values();
  const claims = form.person.claims();
  return {
    action,
    collection,
    ...(id ? { id } : {}),
    ...(filter ? { filter: parsedFilter(filter) } : {}),
    ...(claims ? { as: claims } : {}),
  };
}

function parsedFilter(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`Filter: this is no JSON (${error.message}).`);
  }
}

async function answer(results, form, session) {
  let question = null;
  let said = null;
  const shown = element("section", { class: "card", "aria-label": "Documents" });
  const went = await showing(results, async () => {
    question = questionOf(form);
    said = (await post("_pm/explain", question)).body;
    return explanation(said, shown);
  });
  if (!went || question.action === "create") return shown.remove();
  try {
    await fillDocuments(shown, question, said, session);
  } catch (error) {
    replace(shown, errorNotice(error));
  }
}

// -- the explanation

function explanation(told, shown) {
  return [
    verdict(told),
    changes(told.would_change),
    caller(told.caller),
    element("section", { class: "card" }, heading(2, "Rules"), told.needs.map(needSection)),
    fieldsCard(told),
    shown,
    told.filter ? element("section", { class: "card" }, heading(2, "What MongoDB would be asked"),
      folded("The whole filter", block(JSON.stringify(told.filter, null, 2), "Filter of MongoDB"))) : null,
  ];
}

function verdict(told) {
  const what = `${told.action} ${told.collection}${"id" in told ? ` ${plain(told.id)}` : ""}`;
  const kinds = { true: ["good", "✓", "Allowed"], false: ["bad", "✗", "Not allowed"] };
  const [kind, sign, word] = kinds[String(told.allowed)] ?? ["warn", "◐", `Allowed ${told.allowed}`];
  return notice(kind,
    element("h2", { class: "verdict" }, badge(kind, sign, word), " ", what),
    told.document === "absent" ? element("p", {}, "There is no such document, or it can't be seen: the two are told alike.") : null,
    told.document === "deleted" ? element("p", {}, "The document is deleted; its last content was judged.") : null,
    told.refusal ? element("p", {}, "The request would be refused: ", code(told.refusal.code), ` ${told.refusal.message}`) : null,
    told.decided_by.length ? element("p", {}, "Decided by ", told.decided_by.map((one, n) => [n ? ", " : "", code(one)])) : null);
}

function changes(found) {
  if (!found || (found.clauses.length === 0 && found.roles.length === 0)) return null;
  return element("section", { class: "card" }, heading(2, "What would change it"),
    element("ul", { class: "ways" },
      found.clauses.map((some) => element("li", {}, "if ", some.map((one, n) => [n ? " and " : "", code(one)]))),
      found.roles.map((one) => element("li", {}, "with the role ", element("strong", {}, one.role), one.for ? ` for ${one.for}` : ""))));
}

function caller(who) {
  const inherited = who.with_inherited.filter((one) => !who.roles.includes(one));
  return element("p", { class: "quiet" },
    `Judged as ${who.sub}${who.tenant ? ` of ${who.tenant}` : " of no tenant"}, `,
    who.roles.length ? `${who.roles.join(", ")}` : "no role",
    inherited.length ? ` and through them ${inherited.join(", ")}` : "",
    who.crosses_tenants ? "; crosses tenants" : "",
    who.unknown_roles.length ? `. The policy knows no ${who.unknown_roles.join(", ")}` : "", ".");
}

function fieldsCard(told) {
  const { fields } = told;
  const some = fields.in_some_rows ?? {};
  const names = { readable: "Shown as they are", masked: "Shown masked", writable: "May be changed", writable_on_create: "May be sent with a new one" };
  const rows = Object.entries(names).map(([kind, label]) => [label, listOf(namesOf(fields[kind])), listOf(namesOf(some[kind]))]);
  const where = "id" in told && told.document !== "absent" ? "of this document" : "in every document";
  return element("section", { class: "card" }, heading(2, "Fields"),
    table("Fields by what may be done with them", ["", where, "in some documents"], rows));
}

function namesOf(found) {
  if (!found) return [];
  return Array.isArray(found) ? found : Object.entries(found).map(([name, mask]) => `${name} as ${mask}`);
}

// -- the documents that would show

async function fillDocuments(place, question, said, session) {
  const { collection, id, filter, as } = question;
  if (!(collection in session.me.collections)) {
    return replace(place, heading(2, "Documents"), element("p", {}, "You read none of this collection yourself, so none can be shown here."));
  }
  const documents = id === undefined ? await firstOf(collection, filter) : await oneOf(collection, id);
  if (documents.length === 0) {
    return replace(place, heading(2, "Documents"), element("p", {}, "None that you can see yourself."));
  }
  const told = !as ? [] : id === undefined ? await judged(documents, question) : [[documents[0], said]];
  return replace(place, heading(2, "Documents"), element("p", { class: "quiet" }, as
    ? `Of the ${documents.length === 1 ? "document" : `first ${documents.length} documents`} that you can see, what would show to ${whoOf(as)}.`
    : "As the gateway shows them to you."), as ? judgedTable(told) : ownTable(documents));
}

const whoOf = (claims) => plain(claims.sub ?? "them");

async function oneOf(collection, id) {
  try {
    return [(await get(pathOf(collection, id))).body];
  } catch (error) {
    if (error.status === 404 || error.status === 403) return [];
    throw error;
  }
}

async function firstOf(collection, filter) {
  const { body } = await ask("POST", `${pathOf(collection)}/query`, { body: { limit: MOST_SHOWN, ...(filter ? { filter } : {}) } });
  return body.data;
}

/** One question for each document: what is told of others is told by explanations alone. */
async function judged(documents, { action, collection, as }) {
  const asked = documents.map((one) => post("_pm/explain", { action, collection, id: one._id, as }));
  const found = await Promise.all(asked);
  return documents.map((one, n) => [one, found[n].body]);
}

function judgedTable(told) {
  const rows = told.map(([document, said]) => [
    code(plain(document._id)),
    said.allowed === true ? badge("good", "✓", "yes") : badge("bad", "✗", "no"),
    said.allowed === true ? listOf(said.fields.readable) : element("span", { class: "quiet" }, "nothing"),
    said.allowed === true ? listOf(namesOf(said.fields.masked), "nothing") : "",
    listOf(said.decided_by, said.refusal ? said.refusal.code : "no rule"),
  ]);
  return table("Documents and their fields", ["_id", "allowed", "fields as they are", "masked", "decided by"], rows);
}

function ownTable(documents) {
  const columns = columnsOf(documents, 6);
  return table("Documents", columns, documents.map((one) => columns.map((name) => (name in one ? short(one[name]) : ""))));
}

