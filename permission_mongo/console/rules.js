// Rules, and conditions as trees of clauses.

import { badge, block, code, element, folded, heading, listOf, plain } from "./dom.js";
import { linkTo } from "./route.js";

const VERDICTS = {
  true: ["good", "✓", "true"],
  false: ["bad", "✗", "false"],
  unknown: ["warn", "?", "unknown"],
  open: ["open", "○", "depends on the document"],
  hidden: ["open", "■", "hidden from you"],
};
const EFFECTS = { allow: ["good", "✓", "allows"], deny: ["bad", "✗", "denies"], hides: ["warn", "■", "hides fields"] };
const JOINTS = { all: "all of these", any: "any of these", not: "not" };

export function verdictBadge(verdict) {
  return badge(...(VERDICTS[verdict] ?? ["open", "○", String(verdict)]));
}

export function placeLink(file, line) {
  const text = `${file}:${line}`;
  if (!file.startsWith("policy.")) return code(text);
  return element("a", { href: linkTo("change", { line }) }, code(text));
}

/** One rule of the matrix: its place, words, filter, fields and masks. */
export function ruleCard(rule, role) {
  const kind = rule.hides ? "hides" : rule.effect;
  const from = rule.role === role ? "" : `, which ${role} inherits`;
  const whole = rule.when === "true";
  return element("article", { class: `rule ${kind}` },
    element("h3", {}, badge(...EFFECTS[kind]), " ", placeLink(rule.at.file, rule.at.line)),
    element("p", { class: "quiet" }, "written for ", element("strong", {}, rule.role), from, ": ", rule.actions.join(", ")),
    element("dl", { class: "facts" },
      fact("Which documents", whole ? "every one of the tenant" : code(rule.when)),
      rule.check ? fact("As it must be afterwards", code(rule.check)) : null,
      rule.sets ? fact("Written by the gateway", Object.entries(rule.sets).map(([name, value]) => code(`${name} = ${value} `))) : null,
      fieldFacts(rule)),
    folded("As a filter of MongoDB", filterNote(whole), block(JSON.stringify(rule.filter, null, 2), "Filter of MongoDB")));
}

function filterNote(whole) {
  return element("p", { class: "quiet small" },
    whole ? "Empty: the rule itself leaves nothing out. " : "<user.id> and the like stand for the caller's own values. ",
    "The tenant's test is added to it by the gateway, whatever the rule says.");
}

function fieldFacts(rule) {
  if (rule.hides) return fact("Fields that it hides", listOf(rule.hides));
  if (rule.effect === "deny") return null;
  const { allow, deny, deny_write: unwritten, mask, reassign } = rule.fields ?? {};
  const masks = Object.entries(mask ?? {}).map(([name, how]) => `${name} as ${how}`);
  return [
    fact("Fields", allow ? listOf(allow) : "all"),
    deny ? fact("but not", listOf(deny)) : null,
    masks.length ? fact("Masked", listOf(masks)) : null,
    unwritten ? fact("Not to be written", listOf(unwritten)) : null,
    reassign ? fact("May be reassigned", listOf(reassign)) : null,
  ];
}

function fact(name, ...value) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, value));
}

/** What an explanation says of one needed action. */
export function needSection(need) {
  const speaking = need.rules.filter((one) => one.speaks);
  const silent = need.rules.filter((one) => !one.speaks);
  return element("section", { class: "need" },
    heading(3, `To ${need.action}`),
    need.tenant ? element("p", {}, "Only where ", code(need.tenant.test), ", whatever the rules say.") : null,
    speaking.length ? speaking.map(speakingRule) : element("p", {}, "No rule speaks for these roles."),
    silent.length ? folded(`${silent.length} ${silent.length === 1 ? "rule does" : "rules do"} not speak`, silentRules(silent)) : null);
}

function speakingRule(rule) {
  const kind = rule.hides ? "hides" : rule.effect;
  const through = rule.through.length > 1 ? ` through ${rule.through.join(" › ")}` : "";
  return element("article", { class: `rule ${kind}` },
    element("h4", {}, badge(...EFFECTS[kind]), " ", placeLink(rule.file, rule.line), " ", verdictBadge(rule.verdict)),
    element("p", { class: "quiet" }, "written for ", element("strong", {}, rule.role), through),
    rule.hides ? element("p", {}, "hides ", listOf(rule.hides)) : null,
    tree(rule.when, "Condition"),
    rule.check ? tree(rule.check, "As the document will be") : null);
}

function tree(clause, label) {
  return element("div", { class: "tree" },
    element("p", { class: "quiet small" }, label),
    element("ul", {}, clauseItem(clause)));
}

function clauseItem(clause) {
  if ("test" in clause) {
    return element("li", {}, verdictBadge(clause.verdict), " ", code(clause.test), valuesOf(clause.values));
  }
  const joint = Object.keys(JOINTS).find((one) => one in clause);
  return element("li", {}, verdictBadge(clause.verdict), " ", JOINTS[joint],
    element("ul", {}, clause[joint].map(clauseItem)));
}

function valuesOf(values) {
  if (!values) return null;
  const told = Object.entries(values).map(([name, value]) => `${name} is ${valueText(value)}`);
  return element("span", { class: "quiet" }, ` where ${told.join(", ")}`);
}

function valueText(value) {
  if (value === null || value === undefined) return "not there";
  if (typeof value === "object" && "values" in value) return `a set of ${value.values}`;
  if (typeof value === "object" && "unfit" in value) return `no value that rules compare (${value.unfit})`;
  return plain(value);
}

function silentRules(rules) {
  return element("ul", {}, rules.map((one) =>
    element("li", {}, placeLink(one.file, one.line), ` ${one.effect} ${one.role}: ${one.why}`)));
}
