// History: the versions of a document, what was deleted, and batches that can be undone.

import { ask, get, pathOf, post } from "./api.js";
import { badge, button, code, element, field, heading, input, liveRegion, moment, notice, plain, replace, select, table } from "./dom.js";
import { linkTo, remember } from "./route.js";
import { columnsOf, confirmed, errorNotice, short, showing } from "./telling.js";

export const title = "History";
export const about = "What a document was, what is gone, and what was done together. Whatever is put back is a new version itself.";

const PARTS = { document: "A document", deleted: "Deleted documents", batches: "Batches" };

export async function show(place, params, session) {
  const part = params.get("part") in PARTS ? params.get("part") : "document";
  const names = Object.keys(session.me.collections);
  const collection = names.includes(params.get("collection")) ? params.get("collection") : names[0] ?? "";
  const content = element("div", {});
  replace(place,
    element("nav", { class: "parts", "aria-label": "Parts of the history" },
      element("ul", {}, Object.entries(PARTS).map(([name, label]) => element("li", {},
        element("a", { href: linkTo("history", { part: name, collection }), "aria-current": name === part ? "page" : null }, label))))),
    content);
  if (names.length === 0) {
    return replace(content, notice("open", element("p", {}, "There is no collection in which you may do anything.")));
  }
  const parts = { document: showDocument, deleted: showDeleted, batches: showBatches };
  return parts[part](content, { names, collection, params, session });
}

// -- one document

async function showDocument(place, { names, collection, params }) {
  const chosen = select("collection", names, collection);
  const id = input("id", params.get("id") ?? "", { required: true });
  const results = liveRegion();
  const find = () => showing(results, () => versionsOf(chosen.value, id.value.trim(), results));
  const form = element("form", { class: "card", on: {
    submit(event) {
      event.preventDefault();
      remember("history", { part: "document", collection: chosen.value, id: id.value.trim() });
      find();
    },
  } }, element("div", { class: "grid" }, field("Collection", chosen), field("Document", id, "Its id.")),
  element("button", { class: "primary" }, "Show versions"));
  replace(place, form, results);
  if (id.value) await find();
}

async function versionsOf(collection, id, results) {
  const { body: entries } = await get(`${pathOf(collection, id)}/versions`, { _limit: 100 });
  if (entries.length === 0) return notice("open", element("p", {}, "No version of it can be shown."));
  const states = entries.filter((one) => one.action !== "delete");
  const compared = liveRegion();
  const ends = { from: String((states[1] ?? states[0])?.version ?? ""), to: String(states[0]?.version ?? "") };
  const compare = () => showing(compared, () => differenceOf(collection, id, ends.from, ends.to));
  const again = () => showing(results, () => versionsOf(collection, id, results));
  const line = element("ol", { class: "timeline", reversed: true }, entries.map((one) => entryItem(one, ends, { collection, id, again, newest: entries[0] })));
  if (states.length > 1) compare();
  return [
    element("section", { class: "card" }, heading(2, `Versions of ${id}`), line,
      states.length > 1 ? element("div", { class: "buttons" }, button("Compare the two", compare, { class: "primary" })) : null),
    element("section", { class: "card" }, heading(2, "Difference"), compared,
      states.length > 1 ? null : element("p", { class: "quiet" }, "There is one version alone.")),
  ];
}

function entryItem(one, ends, at) {
  const isState = one.action !== "delete";
  return element("li", { class: isState ? null : "gone" },
    element("div", { class: "entry" },
      element("h3", {}, `Version ${one.version} `, element("span", { class: "quiet" }, one.action)),
      element("p", { class: "quiet" }, one.updated_by ?? "unknown", ", ", moment(one.updated_at)),
      one.change_reason ? element("p", {}, "“", one.change_reason, "”") : null,
      one.batch ? element("p", { class: "small" }, "batch ", element("a", { href: linkTo("history", { part: "batches", collection: at.collection, batch: one.batch }) }, code(one.batch))) : null),
    isState ? element("div", { class: "ends" }, end("from", one, ends), end("to", one, ends), restoreButton(one, at)) : null);
}

function end(name, one, ends) {
  const id = `${name}-${one.version}`;
  const radio = element("input", { type: "radio", name, id, value: one.version, checked: ends[name] === String(one.version),
    on: { change: () => { ends[name] = String(one.version); } } });
  return element("span", { class: "choice" }, radio, element("label", { for: id }, name, element("span", { class: "unseen" }, ` version ${one.version}`)));
}

function restoreButton(one, { collection, id, again, newest }) {
  if (one.version === newest.version) return element("span", { class: "quiet small" }, "live");
  return button("Restore", async () => {
    if (await restored(collection, id, one.version)) again();
  }, { "aria-label": `Restore version ${one.version}` });
}

/** Whether it was asked for and done; a refusal is shown above all else. */
async function restored(collection, id, version) {
  const sure = await confirmed(`Restore version ${version}?`, `${id} gets the content of version ${version} again, as a new version.`, "Restore it", { asksReason: true });
  if (!sure) return false;
  try {
    await post(`${pathOf(collection, id)}/restore/${version}`, {}, reasonHeader(sure.reason));
    return true;
  } catch (error) {
    document.querySelector(".results")?.prepend(errorNotice(error));
    return false;
  }
}

/** A header holds no more than Latin letters; what else is in a reason is written by its number. */
function reasonHeader(reason) {
  const plainText = reason.replace(/[^\x20-\xff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return plainText ? { "x-change-reason": plainText } : {};
}

async function differenceOf(collection, id, from, to) {
  const { body } = await get(`${pathOf(collection, id)}/diff/${from}/${to}`);
  if (body.changes.length === 0) return element("p", {}, `Of what you may read, nothing differs between ${from} and ${to}.`);
  const kinds = { add: ["good", "+", "added"], remove: ["bad", "−", "removed"], change: ["warn", "±", "changed"] };
  const rows = body.changes.map((one) => [
    code(one.field), badge(...kinds[one.op]), "from" in one ? code(short(one.from, 300)) : "", "to" in one ? code(short(one.to, 300)) : "",
  ]);
  return table(`From version ${body.from_version} to version ${body.to_version}`, ["field", "", "was", "is"], rows);
}

// -- deleted documents

async function showDeleted(place, { names, collection }) {
  const results = liveRegion();
  const chosen = select("collection", names, collection);
  const list = () => showing(results, () => deletedOf(chosen.value, results));
  chosen.addEventListener("change", () => {
    remember("history", { part: "deleted", collection: chosen.value });
    list();
  });
  replace(place, element("div", { class: "card" }, field("Collection", chosen)), results);
  await list();
}

async function deletedOf(collection, results) {
  const { body } = await get(`${pathOf(collection)}/deleted`, { _limit: 50 });
  if (body.data.length === 0) return notice("open", element("p", {}, `Nothing deleted in ${collection} that you could bring back.`));
  const columns = columnsOf(body.data, 4);
  const again = () => showing(results, () => deletedOf(collection, results));
  const bringBack = (id) => button("Restore", async () => {
    if (await revived(collection, id)) await again();
  }, { "aria-label": `Restore ${id}` });
  const rows = body.data.map((one) => [...columns.map((name) => (name in one ? short(one[name]) : "")),
    element("span", { class: "buttons" }, bringBack(one._id), element("a", { href: linkTo("history", { part: "document", collection, id: one._id }) }, "versions"))]);
  return element("section", { class: "card" }, heading(2, `Deleted in ${collection}`), table("Deleted documents", [...columns, "bring back"], rows),
    body.pagination.has_more ? element("p", { class: "quiet" }, "These are the first 50; there are more.") : null);
}

/** With the content it had last: the newest version that is no deletion. */
async function revived(collection, id) {
  try {
    const { body } = await get(`${pathOf(collection, id)}/versions`, { _limit: 2 });
    const last = body.find((one) => one.action !== "delete");
    return last ? await restored(collection, id, last.version) : false;
  } catch (error) {
    document.querySelector(".results")?.prepend(errorNotice(error));
    return false;
  }
}

// -- batches

async function showBatches(place, { names, collection, params, session }) {
  const results = liveRegion();
  const chosen = select("collection", names, collection);
  const batch = input("batch", params.get("batch") ?? "", { required: true, pattern: "[0-9a-f]{32}", maxlength: "32" });
  const form = element("form", { class: "card", on: {
    submit(event) {
      event.preventDefault();
      undo(chosen.value, batch.value, results, load);
    },
  } }, element("div", { class: "grid" }, field("Collection", chosen), field("Batch", batch, "Its id, 32 signs; it stands in versions and in the audit.")),
  element("button", {}, "Undo this batch"));
  const list = element("div", {});
  const unlisted = () => notice("open", element("p", {}, "Batches are listed for who has the system right audit. With its id you can undo one below."));
  const load = () => showing(list, () => (session.has("audit") ? batchesOf(results, load) : unlisted()));
  replace(place, results, list, form);
  await load();
}

async function batchesOf(results, load) {
  const { body } = await get("_pm/audit", { kind: "write", _limit: 500 });
  const found = new Map();
  for (const one of body.data) {
    if (!one.batch || one.action.includes("dry run")) continue;
    const known = found.get(one.batch);
    found.set(one.batch, known ? { ...known, count: known.count + one.count } : { ...one });
  }
  if (found.size === 0) return notice("open", element("p", {}, "No batch among the newest writes."));
  const rows = [...found.values()].map((one) => [
    code(one.batch), one.action, one.collection, String(one.count), one.subject, moment(one.at),
    button("Undo", () => undo(one.collection, one.batch, results, load), { "aria-label": `Undo batch ${one.batch}` }),
  ]);
  return element("section", { class: "card" }, heading(2, "Batches among the newest writes"),
    table("Batches", ["batch", "action", "collection", "documents", "by", "at", "undo"], rows));
}

/** First a rehearsal, whose counts stand in the question. */
async function undo(collection, batch, results, load) {
  const path = `${pathOf(collection)}/batch/${encodeURIComponent(batch)}/undo`;
  const went = await showing(results, async () => null);
  try {
    const { body: rehearsed } = await post(path, { dry_run: true });
    const failing = rehearsed.failed.length;
    const text = `${rehearsed.restored} ${rehearsed.restored === 1 ? "document" : "documents"} would be put back`
      + `${failing ? `, ${failing} could not be` : ""}. The undo is a batch itself and can be undone.`;
    const sure = went && await confirmed("Undo this batch?", text, "Undo it", { asksReason: true });
    if (!sure) return;
    const { body } = await ask("POST", path, { body: sure.reason ? { reason: sure.reason } : {} });
    replace(results, undone(body));
    await load();
  } catch (error) {
    replace(results, errorNotice(error));
  }
}

function undone(body) {
  const failed = body.failed.map((one) => element("li", {}, code(plain(one.id)), ` ${one.error.message}`));
  return notice(failed.length ? "warn" : "good",
    element("p", {}, badge(failed.length ? "warn" : "good", "✓", "Undone"), ` ${body.restored} put back`,
      body.batch ? [", as batch ", code(body.batch)] : "", "."),
    failed.length ? [element("p", {}, "These could not be:"), element("ul", {}, failed)] : null);
}
