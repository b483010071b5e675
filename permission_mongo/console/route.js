// The view and its state, in the part of the address behind `#`. A token never stands there.

/** {view, params} of `#/try?action=read`. */
export function here() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { view: path || "matrix", params: new URLSearchParams(query ?? "") };
}

export function linkTo(view, values = {}) {
  const query = queryOf(values);
  return `#/${view}${query ? `?${query}` : ""}`;
}

/** Notes what is looked at, without leaving the view. */
export function remember(view, values) {
  history.replaceState(null, "", linkTo(view, values));
}

function queryOf(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return new URLSearchParams(kept).toString();
}
