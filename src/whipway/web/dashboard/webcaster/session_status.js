// What the server tells of a session while it lasts: by server-sent events, or by asking each second where these
// do not come through, since some proxies keep them back.
//
// One rule for all that can go wrong: after a stream of events has ended, for whatever reason, the server is
// asked. A stream that had brought something is then opened again; after one that had not, only asking is left.

import { readEvents } from "../shared/event_stream.js";
import { isGone, readProblem } from "../shared/whip_http.js";

const SILENCE_MS = 5_000; // The server tells something each second.
const PAUSE_MS = 1_000;
const ASK_TIMEOUT_MS = 3_000; // Short: after a lost connection the person waits for this answer.

export class SessionStatus {
  #url;
  #request;
  #tell;
  #comesByEvents = true;
  #leave = new AbortController();

  /**
   * `request(url, init, timeout)` is `fetch` with the session's token; `tell` gets what `read` returns, again
   * and again: after each change, and each second.
   */
  constructor(url, request, tell) {
    this.#url = url;
    this.#request = request;
    this.#tell = tell;
  }

  /** Tells until it is stopped, which is up to the caller even when the session has ended. */
  async follow() {
    while (!this.#isOver()) {
      if (this.#comesByEvents) this.#comesByEvents = await this.#readEvents();
      if (!this.#isOver()) this.#pass(await this.read());
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Nothing is told from now on; `read` still works. */
  stop() {
    this.#leave.abort();
  }

  /** `{body}` with the snapshot, `{gone, detail}` on 404 or 410, `{}` when there is no telling. */
  async read() {
    try {
      const response = await this.#request(this.#url, { headers: { Accept: "application/json" } }, ASK_TIMEOUT_MS);
      if (response.ok) return { body: await response.json() };
      return isGone(response) ? { gone: true, detail: (await readProblem(response)).detail } : {};
    } catch {
      return {};
    }
  }

  /** Reads one stream of events to its end; returns whether it brought anything. */
  async #readEvents() {
    const silence = new Silence(SILENCE_MS, this.#leave.signal);
    let hasBrought = false;
    try {
      const response = await this.#request(this.#url, { headers: { Accept: "text/event-stream" }, signal: silence.signal });
      if (!isEventStream(response)) return false;
      for await (const { type, data } of readEvents(response.body)) {
        silence.broken();
        if (type === "end") break;
        if (type === "status") this.#pass({ body: JSON.parse(data) });
        hasBrought = true;
      }
    } catch {
      // Cut off, silent for too long, or not to be had at all.
    } finally {
      silence.over();
    }
    return hasBrought;
  }

  #pass(status) {
    if (!this.#isOver()) this.#tell(status);
  }

  #isOver() {
    return this.#leave.signal.aborted;
  }
}

/** A signal that is given when nothing was heard for so many milliseconds, or when `leave` is. */
class Silence {
  #cut = new AbortController();
  #longest;
  #timer = 0;

  constructor(longest, leave) {
    this.#longest = longest;
    leave.addEventListener("abort", () => this.over(), { signal: this.#cut.signal });
    this.broken();
  }

  get signal() {
    return this.#cut.signal;
  }

  broken() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.over(), this.#longest);
  }

  /** Also takes what is still open with it. */
  over() {
    clearTimeout(this.#timer);
    this.#cut.abort();
  }
}

function isEventStream(response) {
  return response.ok && /^text\/event-stream\b/i.test(response.headers.get("Content-Type") ?? "");
}
