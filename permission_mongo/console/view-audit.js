// Audit: who did what, and what was refused.

import { get } from "./api.js";
import { badge, button, code, element, field, folded, input, liveRegion, moment, notice, plain, replace, select, table } from "./dom.js";
import { linkTo, remember } from "./route.js";
import { errorNotice, showing } from "./telling.js";

export const title = "Audit";
export const about = "Who did what, newest first, and what was refused. Entries hold no values: those are in the versions.";

const KINDS = [["", "all"], ["write", "writes"], ["refusal", "refusals"], ["read", "reads"]];
const FIRST = { subject: "Who", id: "Document" };
const FURTHER = { action: "Action", code: "Refused with", batch: "Batch", request_id: "Request" };
// What has an entry and changes nothing: questions about others.
const QUESTIONS = ["explain", "policy_diff"];
const PAGE = 50;
const MOST_IDS = 5;

export async function show(place, params, session) {
  const collections = Object.keys(session.me.collections);
  const controls = {
    kind: select("kind", KINDS, params.get("kind") ?? ""),
    collection: select("collection", [["", "all"], ...collections], params.get("collection") ?? ""),
    ...Object.fromEntries(Object.keys({ ...FIRST, ...FURTHER }).map((name) => [name, input(name, params.get(name) ?? "")])),
    from: input("from", params.get("from") ?? "", { type: "datetime-local" }),
    to: input("to", params.get("to") ?? "", { type: "datetime-local" }),
  };
  const results = liveRegion();
  const look = () => list(results, asked(controls));
  const form = element("form", { class: "card", on: {
    submit(event) {
      event.preventDefault();
      remember("audit", Object.fromEntries(Object.entries(controls).map(([name, one]) => [name, one.value])));
      look();
    },
  } }, filters(controls),
  element("button", { class: "primary" }, "Show entries"));
  replace(place, form, results);
  await look();
}

function filters(controls) {
  const labelled = (names) => Object.entries(names).map(([name, label]) => field(label, controls[name]));
  const more = folded("More filters", element("div", { class: "grid" },
    labelled(FURTHER), field("From", controls.from), field("Until", controls.to)));
  more.open = [...Object.keys(FURTHER), "from", "to"].some((name) => controls[name].value);
  return [element("div", { class: "grid" },
    field("Kind", controls.kind), field("Collection", controls.collection), labelled(FIRST)), more];
}

function asked(controls) {
  const { from, to, ...rest } = controls;
  const query = Object.fromEntries(Object.entries(rest).map(([name, one]) => [name, one.value.trim()]));
  return { ...query, _from: exact(from.value), _to: exact(to.value), _limit: PAGE };
}

/** What the field says by this machine's clock, as the gateway's. */
const exact = (text) => (text ? new Date(text).toISOString() : "");

async function list(results, query) {
  await showing(results, async () => {
    const rows = element("div", {});
    const more = element("div", { class: "buttons" });
    await page(rows, more, query);
    return element("section", { class: "card", "aria-label": "Entries" }, rows, more);
  });
}

async function page(rows, more, query) {
  const { body } = await get("_pm/audit", query);
  if (body.data.length) fill(rows, body.data);
  else if (!rows.hasChildNodes()) rows.append(notice("open", element("p", {}, "No entry fits.")));
  const { cursor, has_more: hasMore } = body.pagination;
  replace(more, hasMore ? button("Older entries", () => older(rows, more, { ...query, _cursor: cursor })) : null);
}

async function older(rows, more, query) {
  const before = rows.querySelectorAll("tbody tr").length;
  try {
    await page(rows, more, query);
  } catch (error) {
    replace(more, errorNotice(error));
    return;
  }
  const next = rows.querySelectorAll("tbody tr")[before];
  next?.setAttribute("tabindex", "-1");
  next?.focus();
}

function fill(rows, entries) {
  const made = table("Entries, newest first", ["at", "who", "did", "documents", "more"], entries.map(rowOf), { rowHeads: false });
  const body = rows.querySelector("tbody");
  if (body) body.append(...made.querySelectorAll("tbody tr"));
  else rows.append(made);
}

function rowOf(one) {
  return [moment(one.at), whoOf(one), whatOf(one), documentsOf(one), moreOf(one)];
}

function whoOf(one) {
  return [element("strong", {}, one.subject ?? "unknown"), element("span", { class: "quiet small below" },
    [one.tenant, (one.roles ?? []).join(", ")].filter(Boolean).join(", "))];
}

function whatOf(one) {
  const refused = one.kind === "refusal";
  return [kindOf(one), ` ${one.action}`, one.collection ? [" in ", one.collection] : "",
    refused ? element("span", { class: "below" }, code(one.code)) : null];
}

function kindOf(one) {
  if (one.kind === "refusal") return badge("bad", "✗", "refused");
  if (one.kind === "read") return badge("open", "○", "read");
  if (QUESTIONS.includes(one.action)) return badge("open", "○", "asked");
  return one.action.includes("dry run") ? badge("open", "○", "rehearsed") : badge("good", "✓", "wrote");
}

function documentsOf(one) {
  const ids = one.ids ?? [];
  const links = ids.slice(0, MOST_IDS).map((id) => element("li", {}, one.collection
    ? element("a", { href: linkTo("history", { part: "document", collection: one.collection, id: plain(id) }) }, code(plain(id)))
    : code(plain(id))));
  const count = one.count ?? ids.length;
  if (count === 0) return [];
  return [element("ul", { class: "names" }, links), count > MOST_IDS ? `and ${count - Math.min(ids.length, MOST_IDS)} more` : ""];
}

function moreOf(one) {
  const facts = [
    one.reason ? ["reason: “", one.reason, "”"] : null,
    one.version ? `version ${one.version}` : null,
    one.paths?.length ? ["fields ", one.paths.map((path, n) => [n ? ", " : "", code(path)])] : null,
    one.batch ? ["batch ", element("a", { href: linkTo("history", { part: "batches", collection: one.collection, batch: one.batch }) }, code(one.batch.slice(0, 8)))] : null,
    one.request_id ? ["request ", code(one.request_id)] : null,
  ].filter(Boolean);
  return facts.map((fact) => element("div", { class: "small" }, fact));
}
