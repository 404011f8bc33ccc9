// The server's API, as the person who is signed in. The cookie goes along by itself; what changes something also
// needs the word that only this page was told (`csrf`), which is kept here and nowhere else.

import { readEvents } from "../shared/event_stream.js";
import { readProblem } from "../shared/whip_http.js";
import { addressOf } from "./addresses.js";
import { ServerClock } from "./clock.js";

const TIMEOUT_MS = 15_000;
const SILENCE_MS = 40_000; // The server says something, if only a comment, every 15 s.
const LOOK_MS = 5_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const UNAUTHENTICATED = 401;
const GONE = new Set([404, 410]);
const CSRF_FAILED = "csrf_failed";
const UNREACHABLE = "There is no answer from the server. Is it running, and is the network up?";
const NO_WORDS = "The server gave no reason.";

/** Why something was not done: HTTP `status` (0: no answer), the problem document's `code`, `detail`, `parameter`. */
export class ApiError extends Error {
  constructor(status, { code = "", title = "", detail = "", parameter = "" } = {}) {
    super(detail || title || NO_WORDS);
    this.status = status;
    this.code = code;
    this.detail = this.message;
    this.parameter = parameter;
  }
}

export class Api {
  /** The server's clock. */
  clock = new ServerClock();
  #csrf = "";
  #onSignedOut;

  /** `onSignedOut()` is called when the server no longer knows who asks. */
  constructor(onSignedOut) {
    this.#onSignedOut = onSignedOut;
  }

  /** Who is signed in: `{role, name, version}`; null: nobody. */
  async who() {
    try {
      return this.#remember(await this.#ask("GET", "/v1/me"));
    } catch (error) {
      if (error.status === UNAUTHENTICATED) return null;
      throw error;
    }
  }

  async signIn(key) {
    return this.#remember(await this.#ask("POST", "/v1/sign-in", { key }));
  }

  async signOut() {
    await this.post("/v1/sign-out");
    this.#csrf = "";
  }

  get(path) {
    return this.#askSignedIn("GET", path);
  }

  post(path, body) {
    return this.#askSignedIn("POST", path, body);
  }

  put(path, body) {
    return this.#askSignedIn("PUT", path, body);
  }

  patch(path, body) {
    return this.#askSignedIn("PATCH", path, body);
  }

  delete(path) {
    return this.#askSignedIn("DELETE", path);
  }

  /** An image as a Blob; null when there is none, or no telling. */
  async picture(path, signal) {
    try {
      const response = await fetch(addressOf(path), { signal, cache: "no-store" });
      return response.status === 200 ? await response.blob() : null;
    } catch {
      return null;
    }
  }

  /**
   * Server-sent events with JSON, until `signal` aborts: `onEvent({type, data})`. A stream that breaks off is opened
   * again, and the browser has few connections to a server: of a page that nobody sees they are given back. Of its
   * own account this tells `{type: "lost"}` when there is no stream, and `{type: "gone"}` when there will be none.
   */
  events(path, onEvent, signal) {
    const tell = (event) => { if (!signal.aborted) onEvent(event); };
    this.#follow(path, tell, signal);
  }

  async #follow(path, tell, signal) {
    let pause = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      await seen(signal);
      const began = performance.now();
      const status = await this.#listen(path, tell, signal);
      if (signal.aborted) return;
      if (status === UNAUTHENTICATED) return this.#onSignedOut();
      if (GONE.has(status)) return tell({ type: "gone", data: null });
      if (document.hidden) continue;
      tell({ type: "lost", data: null });
      if (performance.now() - began > LONGEST_PAUSE_MS) pause = FIRST_PAUSE_MS;
      await elapsed(pause * (0.5 + Math.random() / 2), signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  /** One stream of events to its end; the HTTP status, 0 where there is none. */
  async #listen(path, tell, signal) {
    const leaving = new AbortController();
    const either = AbortSignal.any([signal, leaving.signal]);
    const leave = () => leaving.abort();
    const onHidden = () => { if (document.hidden) leave(); };
    let heardAt = performance.now();
    const watch = setInterval(() => { if (performance.now() - heardAt > SILENCE_MS) leave(); }, LOOK_MS);
    document.addEventListener("visibilitychange", onHidden);
    try {
      const response = await fetch(addressOf(path), {
        signal: either, cache: "no-store", headers: { Accept: "text/event-stream" },
      });
      if (!response.ok) return response.status;
      const heard = new TransformStream({
        transform(chunk, controller) {
          heardAt = performance.now();
          controller.enqueue(chunk);
        },
      });
      for await (const { type, data } of readEvents(response.body.pipeThrough(heard))) {
        tell({ type, data: JSON.parse(data) });
      }
      return response.status;
    } catch {
      return 0;
    } finally {
      clearInterval(watch);
      document.removeEventListener("visibilitychange", onHidden);
      leave();
    }
  }

  async #askSignedIn(method, path, body) {
    try {
      return await this.#askOnceMore(method, path, body);
    } catch (error) {
      if (error.status === UNAUTHENTICATED) this.#onSignedOut();
      throw error;
    }
  }

  /** Somebody may have signed in anew in another window of this browser: then the word is another by now. */
  async #askOnceMore(method, path, body) {
    try {
      return await this.#ask(method, path, body);
    } catch (error) {
      if (error.code !== CSRF_FAILED) throw error;
      this.#remember(await this.#ask("GET", "/v1/me"));
      return this.#ask(method, path, body);
    }
  }

  async #ask(method, path, body) {
    const headers = { Accept: "application/json" };
    if (method !== "GET") headers["X-CSRF-Token"] = this.#csrf;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response;
    try {
      response = await fetch(addressOf(path), {
        method, headers, body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      this.clock.note(response.headers);
      if (response.ok) return response.status === 204 ? null : await response.json();
    } catch {
      throw new ApiError(0, { detail: UNREACHABLE });
    }
    throw new ApiError(response.status, await readProblem(response));
  }

  #remember({ csrf, ...me }) {
    this.#csrf = csrf ?? "";
    return me;
  }
}

/** When somebody can see the page, or `signal` aborts. */
function seen(signal) {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
    look();
  });
}

function elapsed(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
