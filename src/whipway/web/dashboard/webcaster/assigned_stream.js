// The stream that somebody came from the dashboard to publish (`?stream=ID`): its name and its target, and a token
// where the WHIP endpoint asks for one. The sign-in's cookie goes along by itself.
//
// Raises WhipError: "signed-out", "may-not-publish", "stream-gone", "no-target", or what requests raise.

import { WhipError, readText, refusal, request } from "../shared/whip_http.js";

const SIGNED_OUT = 401;
const FORBIDDEN = 403;
const UNKNOWN = new Set([404, 405, 410]);

export class AssignedStream {
  #id;
  #known = null;
  #token = "";

  constructor(id) {
    this.#id = id;
  }

  /** `{name, streamName, streamUrl}`; null before `read` has been through. */
  get known() {
    return this.#known;
  }

  /** What publishes this stream alone; empty while nobody has asked for it. Nobody needs to see it. */
  get token() {
    return this.#token;
  }

  /** Relative to the page, as all addresses here. */
  get pageAddress() {
    return `streams/${encodeURIComponent(this.#id)}`;
  }

  /** Where to sign in, and then come to the stream's page. */
  get signInAddress() {
    return `sign-in?next=${encodeURIComponent(`/${this.pageAddress}`)}`;
  }

  async read() {
    const stream = await ask(`v1/streams/${encodeURIComponent(this.#id)}`);
    if (stream?.id !== this.#id) throw new WhipError("stream-gone");
    const address = stream.ingest?.whip?.url;
    if (!address) throw new WhipError("no-target");
    const query = new URL(address, document.baseURI).searchParams;
    this.#known = { name: stream.name, streamName: query.get("stream_name"), streamUrl: query.get("stream_url") };
    return this.#known;
  }

  async makeToken() {
    const { csrf } = await ask("v1/me");
    const init = { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf ?? "" }, body: "{}" };
    this.#token = (await ask(`v1/streams/${encodeURIComponent(this.#id)}/tokens`, init)).token;
    return this.#token;
  }
}

/** The JSON that the server answers with. */
async function ask(path, init = {}) {
  const response = await request(new URL(path, document.baseURI), { ...init, credentials: "same-origin" });
  if (response.ok) return JSON.parse(await readText(response));
  if (response.status === SIGNED_OUT) throw new WhipError("signed-out");
  if (response.status === FORBIDDEN) throw new WhipError("may-not-publish", { needsToken: true });
  if (UNKNOWN.has(response.status)) throw new WhipError("stream-gone");
  throw await refusal(response);
}
