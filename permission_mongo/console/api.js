// What is asked of the gateway: by the routes of everyone, with the token of who sits here. The token lives in this
// module's memory alone; no cookie and no storage ever holds it, so a reload forgets it.

let token = "";
let namespace = "";
const ROOT = new URL("../../", import.meta.url);

const WORDS = {
  unauthorized: "The token is not taken: it is missing, broken, expired or revoked.",
  forbidden: "This is not permitted to you.",
  document_not_found: "There is no such document, or you can't see it: the two are told alike.",
  version_not_found: "There is no such version, or you can't see it.",
  batch_not_found: "There is no such batch with a document that you can see.",
  precondition_failed: "Somebody changed it since you read it.",
  conflict: "It collides with what is there, or others changed it at the same moment.",
  rate_limited: "Too much was asked at once. Wait a moment and ask again.",
  unavailable: "The gateway can't reach its database now. Ask again soon.",
  timeout: "It took too long and was given up; nothing was written.",
  versioning_not_enabled: "This collection keeps no versions.",
};

/** A refusal, or an answer that never came. */
export class ApiError extends Error {
  constructor(status, code, message, details, requestId) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details ?? {};
    this.requestId = requestId;
  }

  get words() {
    return WORDS[this.code] ?? "The gateway refused it.";
  }
}

export function useToken(text, within = "") {
  token = text.trim();
  namespace = within.trim();
}

export function hasToken() {
  return token !== "";
}

export function pathOf(...segments) {
  // In a URL these two lead elsewhere, however they are written.
  if (segments.some((one) => one === "." || one === "..")) {
    throw new ApiError(0, "bad_request", "an id that is '.' or '..' can't stand in a path");
  }
  return segments.map((one) => encodeURIComponent(one)).join("/");
}

/** {status, body, etag}; an ApiError for everything that is no success. */
export async function ask(method, path, { body, headers = {}, query } = {}) {
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  let response;
  try {
    response = await fetch(url, asked(method, body, headers));
  } catch {
    throw new ApiError(0, "unreachable", "The gateway can't be reached from this page.", {}, null);
  }
  const requestId = response.headers.get("x-request-id");
  const told = await read(response);
  if (!response.ok) {
    const error = told?.error ?? {};
    throw new ApiError(response.status, error.code ?? "unknown", error.message ?? response.statusText, error.details, requestId);
  }
  return { status: response.status, body: told, etag: response.headers.get("etag") };
}

function asked(method, body, headers) {
  const own = { ...headers };
  if (token) own.authorization = `Bearer ${token}`;
  if (namespace) own["x-namespace"] = namespace;
  if (body !== undefined) own["content-type"] = "application/json";
  return {
    method,
    headers: own,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer",
  };
}

async function read(response) {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

export const get = (path, query) => ask("GET", path, { query });
export const post = (path, body, headers) => ask("POST", path, { body, headers });
