// The HTTP that a WHIP client speaks: requests that end in time, errors as WhipError, problem documents.

export const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Why publishing failed: `kind` is for logic, `facts` for words: the HTTP status, problem, host; of a session that
 * ended reason, detail, snapshot.
 */
export class WhipError extends Error {
  constructor(kind, facts = {}) {
    super(kind);
    this.kind = kind;
    this.facts = facts;
  }
}

/**
 * A response of any status; raises WhipError "timeout" or "unreachable". It ends within `timeout` milliseconds,
 * its body included, unless `init` brings a signal of its own.
 */
export async function request(url, init, timeout = REQUEST_TIMEOUT_MS) {
  try {
    return await fetch(url, { signal: AbortSignal.timeout(timeout), ...init, cache: "no-store" });
  } catch (error) {
    throw requestFailure(error, url);
  }
}

export async function readText(response) {
  try {
    return await response.text();
  } catch (error) {
    throw requestFailure(error, response.url);
  }
}

export async function refusal(response) {
  return new WhipError("refused", { status: response.status, problem: await readProblem(response) });
}

/** The server's RFC 9457 problem document; of any other text only the beginning, as its detail. */
export async function readProblem(response) {
  const text = await response.text().catch(() => "");
  try {
    const problem = JSON.parse(text);
    if (problem && typeof problem === "object") return problem;
  } catch {
    // Not JSON: a proxy's page, or plain text.
  }
  const plain = /html/i.test(response.headers.get("Content-Type") ?? "") ? "" : text.trim().slice(0, 300);
  return { detail: plain };
}

/** The session is over, and the server has nothing left of it. */
export function isGone({ status }) {
  return status === 404 || status === 410;
}

function requestFailure(error, url) {
  if (error instanceof WhipError) return error;
  return new WhipError(error.name === "TimeoutError" ? "timeout" : "unreachable", { host: new URL(url).host });
}
