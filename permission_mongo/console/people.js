// For whom something is asked: oneself, somebody of the policy tests, or claims that are typed.

import { element, field, input, replace, select } from "./dom.js";

/** `state` holds who, sub, tenant, roles and claims as they stand in the address; {place, claims()}. */
export function personChoice(matrix, me, state) {
  const principals = matrix?.principals ?? [];
  const known = principals.some((one) => one.name === state.who);
  const chosen = state.who === "typed" || known ? state.who : "";
  const options = [["", `myself (${me.sub})`], ...principals.map((one) => [one.name, `${one.name} (${one.roles.join(", ")})`])];
  if (matrix) options.push(["typed", "somebody else, typed"]);
  const who = select("who", options, chosen);
  const typed = {
    sub: input("sub", state.sub, { placeholder: "alice" }),
    tenant: input("tenant", state.tenant || me.tenant || ""),
    roles: input("roles", state.roles, { placeholder: "user, manager" }),
    claims: element("textarea", { name: "claims", rows: "3", spellcheck: "false", placeholder: '{"department": "sales"}' }),
  };
  typed.claims.value = state.claims ?? "";
  const more = element("div", { class: "grid" });
  const draw = () => replace(more, who.value === "typed" ? typedFields(typed, matrix) : null);
  who.addEventListener("change", draw);
  draw();
  const hint = matrix ? "Somebody of the policy tests, or anybody in your tenant."
    : "To ask about others you need the system rights admin and explain.";
  return {
    place: element("div", {}, field("Who asks", who, hint, { class: "field who-asks" }), more),
    claims: () => claimsOf(who.value, principals, typed, matrix),
    values: () => (who.value === "typed"
      ? { who: "typed", ...Object.fromEntries(Object.entries(typed).map(([name, one]) => [name, one.value.trim()])) }
      : { who: who.value }),
  };
}

function typedFields(typed, matrix) {
  const known = matrix.roles.map((one) => one.name).join(", ");
  return [
    field("Subject", typed.sub),
    field("Tenant", typed.tenant),
    field("Roles", typed.roles, `With commas between: ${known}`),
    field("Further claims", typed.claims, "As JSON, such as the department that a rule compares."),
  ];
}

function claimsOf(who, principals, typed, matrix) {
  if (who === "") return null;
  if (who !== "typed") {
    const one = principals.find((other) => other.name === who);
    return named(matrix.claims, one.claims, one.sub, one.tenant, one.roles);
  }
  const more = typed.claims.value.trim() ? parsed(typed.claims.value) : {};
  const roles = typed.roles.value.split(",").map((one) => one.trim()).filter(Boolean);
  return named(matrix.claims, more, typed.sub.value.trim() || "somebody", typed.tenant.value.trim(), roles);
}

function parsed(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch (error) {
    throw new Error(`Further claims: this is no JSON (${error.message}).`);
  }
  if (found === null || typeof found !== "object" || Array.isArray(found)) {
    throw new Error("Further claims: expected an object, such as {\"department\": \"sales\"}.");
  }
  return found;
}

/** The claims of a token, under the names that the configuration gives them; a dot leads into an object. */
function named(names, more, sub, tenant, roles) {
  const found = structuredClone(more);
  put(found, names.user, sub);
  if (tenant) put(found, names.tenant, tenant);
  put(found, names.roles, roles);
  return found;
}

function put(claims, path, value) {
  const above = path.split(".");
  const last = above.pop();
  let place = claims;
  for (const one of above) {
    if (typeof place[one] !== "object" || place[one] === null) place[one] = {};
    place = place[one];
  }
  place[last] = value;
}
