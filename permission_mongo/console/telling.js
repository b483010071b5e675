// Parts that several views show: errors in words, questions before something is done, documents as rows.

import { ApiError } from "./api.js";
import { badge, button, code, element, field, heading, input, notice, plain, replace } from "./dom.js";

/** A refusal as a person reads it, with the request's id for who looks into the log. */
export function errorNotice(error) {
  if (!(error instanceof ApiError)) {
    return notice("bad", element("p", {}, badge("bad", "✗", "Error"), " ", String(error?.message ?? error)));
  }
  const about = error.status ? `${error.status} ${error.code}` : error.code;
  return notice("bad",
    element("p", {}, badge("bad", "✗", "Refused"), " ", element("strong", {}, error.words)),
    element("p", {}, error.message),
    findingsOf(error),
    element("p", { class: "quiet small" }, about, error.requestId ? [", request ", code(error.requestId)] : ""));
}

function findingsOf(error) {
  const findings = error.details.findings ?? error.details.errors;
  if (!Array.isArray(findings)) return null;
  return element("ul", {}, findings.map((one) =>
    element("li", {}, one.line ? `line ${one.line}: ` : one.field ? `${one.field}: ` : "", one.message ?? plain(one))));
}

/**
 * Does the work and shows what it returns in `place`; an error is shown there too. True where it went well.
 * Whoever was at something in there is there again, and not at the top of the page.
 */
export async function showing(place, work) {
  const isWithin = place.contains(document.activeElement);
  place.setAttribute("aria-busy", "true");
  replace(place, element("p", { class: "quiet" }, "Asking the gateway…"));
  try {
    replace(place, await work());
    return true;
  } catch (error) {
    replace(place, errorNotice(error));
    return false;
  } finally {
    place.removeAttribute("aria-busy");
    if (isWithin) {
      place.tabIndex = -1;
      place.focus({ preventScroll: true });
    }
  }
}

/**
 * A question before something is changed: null where it is left, else {reason}.
 * Escape leaves it, as everywhere; the focus returns to where it was.
 */
export function confirmed(title, text, does, { asksReason = false } = {}) {
  return new Promise((resolve) => {
    const reason = input("reason");
    const id = "question";
    const dialog = element("dialog", { class: "question", "aria-labelledby": id },
      element("form", { method: "dialog" },
        heading(2, title, { id }),
        element("p", {}, text),
        asksReason ? field("Reason", reason, "Kept with the version, for whoever asks later. May be left empty.") : null,
        element("div", { class: "buttons" },
          element("button", { value: "yes", class: "primary" }, does),
          element("button", { value: "no" }, "Leave it"))));
    dialog.addEventListener("close", () => {
      const went = dialog.returnValue === "yes";
      dialog.remove();
      resolve(went ? { reason: reason.value.trim() } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A dialog that only shows; `onClose` runs when it is left. */
export function opened(title, content, onClose = () => {}) {
  const id = "opened-title";
  const dialog = element("dialog", { class: "panel", "aria-labelledby": id });
  const close = button("Close", () => dialog.close(), { class: "close" });
  dialog.append(element("div", { class: "panel-head" }, heading(2, title, { id }), close), content);
  dialog.addEventListener("close", () => {
    dialog.remove();
    onClose();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** The fields of some documents that come first in their tables, then a few others. */
export function columnsOf(documents, most = 5) {
  const names = new Set();
  for (const one of documents) for (const name of Object.keys(one)) names.add(name);
  const first = ["_id", "title", "name", "status"].filter((name) => names.has(name));
  const last = ["tenant_id", "created_at", "updated_at", "created_by", "updated_by", "_version"];
  const rest = [...names].filter((name) => !first.includes(name) && !last.includes(name));
  return [...first, ...rest].slice(0, most);
}

export function short(value, most = 80) {
  const text = plain(value);
  return text.length > most ? `${text.slice(0, most)}…` : text;
}
