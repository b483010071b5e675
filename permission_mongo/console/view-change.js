// Change: edit the policy, see what that means, take it as a difference or write it.

import { ask, get, post } from "./api.js";
import { badge, button, code, element, folded, heading, listOf, liveRegion, notice, replace, table } from "./dom.js";
import { differenceBlock } from "./difference.js";
import { editor } from "./editor.js";
import { confirmed, errorNotice, showing } from "./telling.js";

export const title = "Change";
export const about = "Edit policy.yml. Mistakes are told as you type; the tests and the impact show what it would mean before it is written.";

const PAUSE = 500; // milliseconds after the last key before it is checked
const PATIENCE = 20; // seconds in which a written policy comes into force

export async function show(place, params, session) {
  const { body } = await get("_pm/policy");
  const name = Object.keys(body.files).find((one) => one.startsWith("policy.")) ?? "policy.yml";
  const loaded = body.files[name];
  const work = { name, base: loaded.text, sha256: loaded.sha256, text: loaded.text, session };
  const checked = liveRegion();
  const results = liveRegion();
  const pad = editor(loaded.text, `Text of ${name}`, (text) => {
    work.text = text;
    checkSoon(work, pad, checked);
  });
  replace(place, element("div", { class: "workbench" },
    element("section", { class: "card" }, heading(2, name), pad.place, checked, actions(work, pad, results)),
    element("section", { "aria-label": "Results" }, results)));
  replace(checked, element("p", { class: "quiet" }, "As it is in force."));
  const line = Number(params.get("line"));
  if (line > 0) pad.goTo(line);
}

function actions(work, pad, results) {
  return element("div", { class: "buttons" },
    button("Show impact", () => showing(results, () => impact(work)), { class: "primary" }),
    button("Run policy tests", () => showing(results, () => tests(work))),
    button("Show difference", () => showing(results, () => difference(work))),
    button("Write it", () => write(work, pad, results)));
}

// -- mistakes, as you type

let waiting = 0;
let asked = 0;

function checkSoon(work, pad, checked) {
  clearTimeout(waiting);
  waiting = setTimeout(() => check(work, pad, checked), PAUSE);
}

async function check(work, pad, checked) {
  asked += 1;
  const mine = asked;
  try {
    const { body } = await post("_pm/policy/check", filesOf(work));
    if (mine === asked) tellFindings(body, pad, checked, work.name);
  } catch (error) {
    if (mine === asked) replace(checked, errorNotice(error));
  }
}

const filesOf = (work) => ({ files: { [work.name]: work.text } });

function tellFindings(body, pad, checked, name) {
  const errors = body.findings.filter((one) => one.severity === "error");
  pad.mark(errors.filter((one) => one.file === name).map((one) => one.line));
  if (body.findings.length === 0) {
    return replace(checked, element("p", {}, badge("good", "✓", "no mistakes")));
  }
  const head = body.fine ? badge("warn", "!", "no mistakes, but look at this") : badge("bad", "✗", `${errors.length || body.findings.length} to mend`);
  return replace(checked, element("p", {}, head),
    element("ul", { class: "findings" }, body.findings.map((one) => findingItem(one, pad, name))));
}

function findingItem(one, pad, name) {
  const where = `${one.file}:${one.line}`;
  const place = one.file === name ? button(where, () => pad.goTo(one.line, one.column ?? 1), { class: "small" }) : code(where);
  return element("li", {}, place, " ", one.message);
}

// -- policy tests

async function tests(work) {
  const { body } = await post("_pm/policy/test", filesOf(work));
  const failed = body.tests.filter((one) => !one.passed);
  const untouched = (body.coverage.rules ?? []).filter((one) => !one.held);
  return element("section", { class: "card" },
    heading(2, "Policy tests"),
    element("p", {}, body.failed ? badge("bad", "✗", `${body.failed} failed`) : badge("good", "✓", "all passed"),
      ` ${body.passed} of ${body.tests.length} passed; they touch ${Math.round(body.coverage.percent)} % of the rules.`),
    failed.map((one) => notice("bad", element("h3", {}, one.name), code(one.at),
      element("ul", {}, one.faults.map((fault) => element("li", { class: "lines" }, fault))))),
    untouched.length ? folded(`${untouched.length} rules are not touched`, listOf(untouched.map((one) => one.at))) : null,
    folded("All tests", element("ul", {}, body.tests.map((one) =>
      element("li", {}, one.passed ? badge("good", "✓", "passed") : badge("bad", "✗", "failed"), ` ${one.name}`)))));
}

// -- impact

const CHANGES = { gained: ["warn", "+", "gained"], lost: ["open", "−", "lost"], unsure: ["bad", "?", "can't be told"] };

async function impact(work) {
  const live = work.session.has("explain");
  const { body } = await post("_pm/policy/diff", { ...filesOf(work), ...(live ? { live: true } : {}) });
  return element("section", { class: "card" },
    heading(2, "Impact"),
    element("p", {}, body.changes.length === 0
      ? badge("good", "✓", "no role gains or loses anything")
      : body.widens ? badge("warn", "+", "somebody gains something") : badge("good", "✓", "nobody gains anything")),
    body.live ? liveCounts(body.live) : element("p", { class: "quiet" }, "Documents are counted for who has the system right explain."),
    body.changes.length ? heading(3, "By the rules, for everybody") : null,
    element("ul", { class: "changes" }, gathered(body.changes).map(changeItem)));
}

/** What is told of several roles alike, once. */
function gathered(changes) {
  const found = new Map();
  for (const one of changes) {
    const key = JSON.stringify([one.kind, one.collection, one.action, one.text]);
    const who = one.roles.join(" + ") || "anybody";
    if (found.has(key)) found.get(key).who.push(who);
    else found.set(key, { ...one, who: [who] });
  }
  return [...found.values()];
}

function changeItem(one) {
  return element("li", {}, badge(...CHANGES[one.kind]), " ", element("strong", {}, one.who.join(", ")), `: ${one.text} `,
    element("span", { class: "quiet" }, `(${one.collection}, ${one.action})`));
}

const counted = (n) => `${n.toLocaleString()} ${n === 1 ? "document" : "documents"}`;

function liveCounts(live) {
  const read = live.read.map((one) => (one.sampled
    ? `${one.documents.toLocaleString()} of about ${one.of.toLocaleString()} in ${one.collection}`
    : `all ${one.documents.toLocaleString()} in ${one.collection}`));
  return [
    heading(3, "On live data"),
    element("ul", { class: "counts" }, live.counts.flatMap(countItems)),
    live.counts.length === 0 ? element("p", {}, "For the principals below nothing changes on the documents that are there.") : null,
    element("p", { class: "quiet small" }, read.length ? `Documents of your tenant that were looked at: ${read.join("; ")}. ` : "",
      `Counted for ${live.principals.join(", ") || "nobody"}.`),
  ];
}

function countItems(one) {
  const who = `${one.roles.join(" + ")} as ${one.principal.sub}`;
  const rows = [["gained", "+", "warn", "gains"], ["lost", "−", "open", "loses"]]
    .filter(([kind]) => one[kind].documents)
    .map(([kind, sign, colour, verb]) => element("li", {}, badge(colour, sign, kind), " ", element("strong", {}, who),
      ` ${verb} ${counted(one[kind].documents)} in ${one.collection} (${one.action})`,
      one[kind].such_as.length ? [", such as ", one[kind].such_as.map((id, n) => [n ? ", " : "", code(String(id))])] : ""));
  const fields = one.fields.map((field) => element("li", {}, badge("open", "±", "field"), " ", element("strong", {}, who), " ",
    fieldWords(field), ` in ${counted(field.documents)} of ${one.collection}`));
  return [...rows, ...fields];
}

function fieldWords({ path, before, after }) {
  if (after === "hidden") return ["loses the field ", code(path)];
  if (before === "hidden") return ["gains the field ", code(path), after === "raw" ? "" : ` masked by ${after}`];
  return ["sees ", code(path), after === "raw" ? " as it is" : ` masked by ${after}`, before === "raw" ? ", not as it is any more" : `, no longer masked by ${before}`];
}

// -- the difference, and writing

function difference(work) {
  const taken = new Blob([work.text], { type: "application/yaml" });
  const save = () => {
    const url = URL.createObjectURL(taken);
    element("a", { href: url, download: work.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };
  return element("section", { class: "card" }, heading(2, "Difference"), differenceBlock(work.base, work.text),
    element("div", { class: "buttons" }, button(`Save ${work.name}`, save)));
}

async function write(work, pad, results) {
  if (work.text === work.base) {
    return replace(results, notice("open", element("p", {}, "Nothing is changed, so there is nothing to write.")));
  }
  const sure = await confirmed("Write the policy?", "It comes into force for everybody within seconds.", "Write it");
  if (!sure) return null;
  try {
    const { body } = await ask("PUT", "_pm/policy", { body: filesOf(work), headers: { "if-match": `"${work.sha256}"` } });
    Object.assign(work, { base: work.text, sha256: body.sha256 });
    return await untilLive(work, results);
  } catch (error) {
    return replace(results, error.status === 412 ? conflict(work, pad, results) : errorNotice(error));
  }
}

function conflict(work, pad, results) {
  const readAgain = async () => {
    const { body } = await get("_pm/policy");
    const loaded = body.files[work.name];
    Object.assign(work, { base: loaded.text, sha256: loaded.sha256 });
    replace(results, notice("open", element("p", {}, "Read again. Your text is still in the editor; compare before you write.")), difference(work));
  };
  const drop = async () => {
    await readAgain();
    work.text = work.base;
    pad.set(work.base);
    replace(results, notice("open", element("p", {}, "The editor holds the file as it is now.")));
  };
  return notice("bad",
    element("p", {}, badge("bad", "✗", "Not written"), " ", element("strong", {}, `Somebody changed ${work.name} since you read it.`)),
    element("p", {}, "Nothing of theirs was lost, and nothing of yours."),
    element("div", { class: "buttons" }, button("Read theirs, keep my text", readAgain), button("Drop my text", drop)));
}

async function untilLive(work, results) {
  replace(results, notice("open", element("p", {}, badge("open", "○", "Written"), " It is on its way into force…")));
  work.session.forget();
  for (let n = 0; n < PATIENCE * 4; n += 1) {
    await new Promise((resolve) => { setTimeout(resolve, 250); });
    const { body } = await get("_pm/policy");
    if (body.files[work.name]?.sha256 === work.sha256) {
      work.session.forget();
      return replace(results, notice("good", element("p", {}, badge("good", "✓", "In force"), " The new policy is live."),
        element("p", { class: "quiet small" }, "SHA-256 ", code(work.sha256))));
    }
  }
  return replace(results, notice("bad", element("p", {}, badge("bad", "✗", "Not in force yet"),
    " The file is written, but this gateway still has the policy before. Its log says why.")));
}
