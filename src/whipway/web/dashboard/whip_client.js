// A WHIP client (RFC 9725): one RTCPeerConnection, one POST with the offer, one DELETE at the end.
//
// Left out on purpose: trickle ICE (the offer goes at once, without candidates; the server learns the
// browser's address from its first connectivity check), ICE restart, ICE servers from Link headers.
//
// Events: "phase" (detail "offering", "connecting", "live" or "interrupted"), "status" (detail: the server's
// snapshot), "figures" (detail: see figures.js), "ended" (detail: a WhipError; only after "live", only once).

import { Figures } from "./figures.js";

export const REQUEST_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 15_000;
const STATUS_INTERVAL_MS = 2_000;
const STATUS_TIMEOUT_MS = 3_000; // Short: after a lost connection the person waits for this answer.
const FIGURES_INTERVAL_MS = 1_000;
const ENDED_STATES = new Set(["ended", "closed", "failed"]);
const PATH_ERRORS = new Set(["no-path", "lost", "ended-by-server"]);

/** Why publishing failed: `kind` is for logic, `facts` (status, problem, reason, detail, host) for words. */
export class WhipError extends Error {
  constructor(kind, facts = {}) {
    super(kind);
    this.kind = kind;
    this.facts = facts;
  }
}

export class WhipClient extends EventTarget {
  #endpoint;
  #token;
  #connection = null;
  #session = null; // URL of the WHIP session, known from the 201 until it is deleted.
  #publishing = null;
  #interrupt = null; // Ends the wait for the connection; null when nobody waits.
  #phase = "idle";
  #stopping = false;
  #confirmed = true; // The server confirmed the DELETE, if one was needed.
  #statusSeen = false;
  #timers = new Set();
  #figures = new Figures();

  /** `endpoint`: the WHIP endpoint with its query; `token`: a bearer token, or empty for none. */
  constructor(endpoint, { token = "" } = {}) {
    super();
    this.#endpoint = endpoint;
    this.#token = token;
  }

  /**
   * Publishes the tracks of `stream`; resolves once media flows, raises WhipError (kind "stopped" after stop()).
   * Options: `videoBitrate`, `audioBitrate` in bit/s, `frameRate`; all upper limits. One call per client.
   */
  publish(stream, options = {}) {
    this.#publishing = this.#run(stream, options);
    return this.#publishing;
  }

  /** Ends the session. True if the server confirmed, or had none. */
  async stop() {
    this.#stopping = true;
    // An offer on its way may already have made a session: its answer is awaited, so that it can be deleted.
    this.#interrupt?.(new WhipError("stopped"));
    await this.#publishing?.catch(() => {});
    await this.#close();
    return this.#confirmed;
  }

  /** For a page that is going away: nothing is awaited, the browser finishes the DELETE. */
  abandon() {
    this.#stopping = true;
    this.#close();
  }

  /** Sends other tracks in place of the present ones, without a new offer. */
  async replaceTracks(stream) {
    for (const track of stream.getTracks()) await this.#sender(track.kind)?.replaceTrack(track);
  }

  /** New upper limits, also while live; what is not given stays. */
  async limit({ videoBitrate, audioBitrate, frameRate }) {
    await this.#limitSender("video", { maxBitrate: videoBitrate, maxFramerate: frameRate });
    await this.#limitSender("audio", { maxBitrate: audioBitrate });
  }

  async #run(stream, options) {
    try {
      await this.#negotiate(stream, options);
      await this.#connected();
      this.#stopIfAsked();
    } catch (error) {
      const told = this.#stopping ? error : await this.#explain(error);
      await this.#close();
      throw this.#stopping ? new WhipError("stopped") : told;
    }
    this.#enter("live");
    this.#every(FIGURES_INTERVAL_MS, () => this.#readFigures());
    this.#every(STATUS_INTERVAL_MS, () => this.#pollStatus());
  }

  async #negotiate(stream, options) {
    const connection = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#connection = connection;
    for (const track of stream.getTracks()) {
      const transceiver = connection.addTransceiver(track, { direction: "sendonly", streams: [stream] });
      if (track.kind === "video") preferH264(transceiver);
    }
    connection.onconnectionstatechange = () => this.#onConnectionState(connection.connectionState);
    await describe(connection);
    this.#enter("offering");
    const answer = await this.#postOffer(connection.localDescription.sdp);
    this.#stopIfAsked();
    this.#enter("connecting");
    await this.#applyAnswer(answer);
    await this.limit(options);
    this.#stopIfAsked();
  }

  async #postOffer(offer) {
    const response = await this.#request(this.#endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/sdp" },
      body: offer,
    });
    if (!response.ok) throw await refusal(response);
    const location = response.headers.get("Location");
    // RFC 9725 section 4.2: "201 Created" with the answer as body and the session's URL in Location.
    if (location && URL.canParse(location, response.url)) this.#session = new URL(location, response.url);
    if (response.status !== 201) throw new WhipError("not-created", { status: response.status });
    if (!this.#session) throw new WhipError("no-location");
    const answer = await readText(response);
    if (!answer.trim()) throw new WhipError("no-answer");
    return answer;
  }

  async #applyAnswer(sdp) {
    try {
      await this.#connection.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      throw new WhipError("bad-answer", { reason: error.message });
    }
    const transport = this.#connection.getSenders()[0]?.transport;
    // A server that ends the session closes DTLS; the connection state alone may take long to tell.
    transport?.addEventListener("statechange", () => {
      if (transport.state === "closed") this.#onConnectionState("closed");
    });
  }

  #connected() {
    let timer = 0;
    return new Promise((resolve, reject) => {
      this.#interrupt = (error) => (error ? reject(error) : resolve());
      timer = setTimeout(() => reject(new WhipError("no-path")), CONNECT_TIMEOUT_MS);
      this.#onConnectionState(this.#connection.connectionState);
    }).finally(() => {
      clearTimeout(timer);
      this.#interrupt = null;
    });
  }

  #onConnectionState(state) {
    if (this.#interrupt) {
      if (state === "connected") this.#interrupt();
      if (state === "failed") this.#interrupt(new WhipError("no-path"));
      if (state === "closed") this.#interrupt(new WhipError("ended-by-server"));
      return;
    }
    if (state === "connected" && this.#phase === "interrupted") this.#enter("live");
    if (state === "disconnected" && this.#phase === "live") this.#enter("interrupted");
    if (state === "failed") this.#lose("lost");
    if (state === "closed") this.#lose("ended-by-server");
  }

  async #lose(kind) {
    if (!this.#isUp()) return;
    this.#clearTimers();
    this.#end(await this.#explain(new WhipError(kind)));
  }

  /** The media path is gone; the server may still be able to say why. Any other error stays as it is. */
  async #explain(error) {
    if (!PATH_ERRORS.has(error.kind)) return error;
    const status = await this.#readStatus();
    // A set-up that timed out at the server says less than that nothing came through from here.
    const over = ENDED_STATES.has(status.body?.state) && status.body.reason !== "setup_timeout";
    return over || (status.gone && error.kind !== "no-path") ? this.#endedByServer(status) : error;
  }

  #endedByServer({ body, detail }) {
    this.#session = null; // Nothing is left to delete.
    return new WhipError("ended-by-server", { reason: body?.reason ?? "", detail: body?.detail ?? detail ?? "" });
  }

  #end(error) {
    if (!this.#isUp()) return;
    this.#close();
    this.dispatchEvent(new CustomEvent("ended", { detail: error }));
  }

  async #pollStatus() {
    const status = await this.#readStatus();
    if (!this.#isUp()) return "stop";
    if (status.body) {
      this.#statusSeen = true;
      this.dispatchEvent(new CustomEvent("status", { detail: status.body }));
      if (ENDED_STATES.has(status.body.state)) this.#end(this.#endedByServer(status));
    } else if (status.gone) {
      if (this.#statusSeen) this.#end(this.#endedByServer(status));
      return "stop"; // A server without this resource.
    }
    return "again";
  }

  /** `{body}` with the snapshot, `{gone, detail}` on 404 or 410, `{}` when there is no telling. */
  async #readStatus() {
    if (!this.#session) return {};
    const url = new URL(this.#session);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}/status`;
    try {
      const response = await this.#request(url, { headers: { Accept: "application/json" } }, STATUS_TIMEOUT_MS);
      if (response.ok) return { body: await response.json() };
      const gone = response.status === 404 || response.status === 410;
      return gone ? { gone, detail: (await readProblem(response)).detail } : {};
    } catch {
      return {};
    }
  }

  async #readFigures() {
    if (!this.#isUp()) return "stop";
    const figures = this.#figures.read(await this.#connection.getStats());
    if (this.#isUp()) this.dispatchEvent(new CustomEvent("figures", { detail: figures }));
    return "again";
  }

  async #request(url, init, timeout = REQUEST_TIMEOUT_MS) {
    const headers = { ...init.headers };
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    const signal = AbortSignal.timeout(timeout);
    try {
      return await fetch(url, { ...init, headers, signal, cache: "no-store" });
    } catch (error) {
      throw requestFailure(error, url);
    }
  }

  async #close() {
    this.#clearTimers();
    this.#enter("closed");
    const [session, connection] = [this.#session, this.#connection];
    this.#session = this.#connection = null;
    // DELETE goes first: closing the connection also tells the server, but not that it was meant.
    if (session) await this.#delete(session);
    connection?.close();
  }

  async #delete(session) {
    try {
      const response = await this.#request(session, { method: "DELETE", keepalive: true });
      await readText(response);
      this.#confirmed = response.ok || response.status === 404 || response.status === 410;
    } catch {
      this.#confirmed = false; // The server notices by itself that nothing is sent any more.
    }
  }

  #enter(phase) {
    if (this.#phase === phase) return;
    this.#phase = phase;
    if (phase !== "closed") this.dispatchEvent(new CustomEvent("phase", { detail: phase }));
  }

  #isUp() {
    return this.#phase === "live" || this.#phase === "interrupted";
  }

  #stopIfAsked() {
    if (this.#stopping) throw new WhipError("stopped");
  }

  #sender(kind) {
    return this.#connection?.getTransceivers().find((one) => one.receiver.track.kind === kind)?.sender;
  }

  async #limitSender(kind, limits) {
    const sender = this.#sender(kind);
    const parameters = sender?.getParameters();
    if (!parameters?.encodings?.length) return;
    for (const [name, value] of Object.entries(limits)) if (value) parameters.encodings[0][name] = value;
    await sender.setParameters(parameters);
  }

  /** Runs `work` after each interval, never twice at once, until it says "stop". */
  #every(interval, work) {
    const timer = { id: 0 };
    const wait = () => { timer.id = setTimeout(turn, interval); };
    const turn = async () => {
      if ((await work()) === "again" && this.#timers.has(timer)) wait();
    };
    this.#timers.add(timer);
    wait();
  }

  #clearTimers() {
    for (const timer of this.#timers) clearTimeout(timer.id);
    this.#timers.clear();
  }
}

/** H.264 first, as RTMP needs it; the others stay behind it, in the browser's order. */
/** The local offer, with the readiness to repeat lost sound: browsers have it, but do not offer it by themselves. */
async function describe(connection) {
  const { type, sdp } = await connection.createOffer();
  const repairing = sdp.replace(/a=rtpmap:(\d+) opus\/48000\/2\r\n/i, "$&a=rtcp-fb:$1 nack\r\n");
  try {
    await connection.setLocalDescription({ type, sdp: repairing });
  } catch {
    await connection.setLocalDescription(); // A browser that does not let its offer be changed.
  }
}

function preferH264(transceiver) {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const isH264 = (codec) => codec.mimeType.toLowerCase() === "video/h264";
  if (!codecs.some(isH264)) throw new WhipError("no-h264");
  const ordered = [...codecs.filter(isH264), ...codecs.filter((codec) => !isH264(codec))];
  transceiver.setCodecPreferences?.(ordered);
}

function requestFailure(error, url) {
  if (error instanceof WhipError) return error;
  return new WhipError(error.name === "TimeoutError" ? "timeout" : "unreachable", { host: new URL(url).host });
}

async function readText(response) {
  try {
    return await response.text();
  } catch (error) {
    throw requestFailure(error, response.url);
  }
}

async function refusal(response) {
  return new WhipError("refused", { status: response.status, problem: await readProblem(response) });
}

/** The server's RFC 9457 problem document; of any other text only the beginning, as its detail. */
async function readProblem(response) {
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
