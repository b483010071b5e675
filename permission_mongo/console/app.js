// The shell: who asks, which view, and what all views share.

import { get, hasToken, useToken } from "./api.js";
import { button, code, element, field, folded, heading, input, liveRegion, moment, replace } from "./dom.js";
import { here, linkTo } from "./route.js";
import { errorNotice } from "./telling.js";
import * as audit from "./view-audit.js";
import * as change from "./view-change.js";
import * as matrix from "./view-matrix.js";
import * as past from "./view-history.js";
import * as trying from "./view-try.js";

const VIEWS = { matrix, try: trying, change, history: past, audit };
const main = document.getElementById("main");
const nav = document.getElementById("nav");
const who = document.getElementById("who");
let session = null;

/** What views share: who asks, and the policy's matrix, asked for once until the policy changes. */
function newSession(me) {
  let asked = null;
  return {
    me,
    matrix() {
      asked ??= get("_pm/policy/matrix").then((answer) => answer.body);
      asked.catch(() => { asked = null; });
      return asked;
    },
    forget() { asked = null; },
    has: (right) => me.system.includes(right),
  };
}

function showSignIn(error = null) {
  nav.hidden = true;
  replace(who);
  document.title = "Sign in - permission-mongo console";
  const text = input("token", "", { type: "password", required: true, maxlength: "16384" });
  const told = liveRegion();
  const namespace = input("namespace", "");
  const enter = async (event) => {
    event.preventDefault();
    useToken(text.value, namespace.value);
    text.value = "";
    await signIn(told);
  };
  replace(main, element("section", { class: "signin" },
    heading(1, "Sign in"),
    element("p", {}, "Everything here is asked of the gateway with your own token: you see what it lets you see, and no more."),
    element("form", { class: "card", on: { submit: enter } },
      field("Token or API key", text, "It stays in this page's memory alone. No cookie is set, and a reload forgets it."),
      folded("Another namespace", field("Namespace", namespace, "Of those that your credential lists; without one it is default.")),
      element("button", { class: "primary" }, "Sign in")),
    told));
  if (error) replace(told, errorNotice(error));
  text.focus();
}

async function signIn(told) {
  try {
    const { body } = await get("_pm/me");
    session = newSession(body);
  } catch (error) {
    useToken("");
    replace(told, errorNotice(error));
    main.querySelector("input")?.focus();
    return;
  }
  showWho();
  await showView({ focus: true });
}

function showWho() {
  const { sub, tenant, roles, credential, namespace } = session.me;
  const leave = () => {
    useToken("");
    session = null;
    showSignIn();
  };
  replace(who,
    element("p", {}, element("strong", {}, sub), tenant ? [" of ", tenant] : "", " ",
      element("span", { class: "quiet" }, roles.length ? roles.join(", ") : "no role"),
      namespace === "default" ? "" : [" in ", element("strong", {}, namespace)]),
    credential.expires_at
      ? element("p", { class: "quiet small" }, "until ", moment(credential.expires_at), "; a reload forgets the token") : null,
    button("Forget the token", leave, { class: "small" }));
}

function showNav(current) {
  nav.hidden = false;
  replace(nav, element("ul", {}, Object.entries(VIEWS).map(([name, view]) =>
    element("li", {}, element("a", { href: linkTo(name), "aria-current": name === current ? "page" : null }, view.title)))));
}

async function showView({ focus = false } = {}) {
  const { view: name, params } = here();
  const view = VIEWS[name];
  showNav(name);
  for (const one of document.querySelectorAll("dialog")) one.close();
  if (!view) {
    replace(main, heading(1, "No such view"), element("p", {}, "There is no view ", code(name), "."));
    return;
  }
  document.title = `${view.title} - permission-mongo console`;
  const title = heading(1, view.title, { tabindex: "-1" });
  const place = element("div", { class: `view ${name}` });
  replace(main, element("div", { class: "title" }, title, element("p", { class: "lead" }, view.about)), place);
  if (focus) title.focus();
  try {
    await view.show(place, params, session);
  } catch (error) {
    replace(place, errorNotice(error));
  }
}

addEventListener("hashchange", () => {
  if (hasToken() && session) showView({ focus: true });
});
// The part of the address behind `#` is the view's, so the link can't lead there by itself.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
showSignIn();
