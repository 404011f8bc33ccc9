// A WHIP client (RFC 9725): one RTCPeerConnection, one POST with the offer, one DELETE at the end, and a PATCH
// that restarts ICE whenever the path breaks off or the browser changes its network.
//
// The offer is posted before it becomes the local description: the browser gathers from then on, and so it does
// with the ICE servers of the 201 (section 4.6). A restart takes the same order: when the server refuses it,
// nothing has been touched here.
//
// Left out on purpose: trickle ICE. Such a server is ICE lite: it sends no checks, and learns the browser's
// addresses from those it gets. Without it entity tags have no use, since a restart matches any ("*").
//
// Where the stream goes from there, the server tells at the address that the 201 links to as STATUS_RELATION.
// What it asks of each picture in there, `senders` obeys. What can be asked of the server is in `control`.
//
// Events: "phase" (detail "offering", "connecting", "live" or "interrupted"; "live": media reaches the server),
// "status" (detail: the server's snapshot, also before "live"; null when there is no word from it), "figures"
// (detail: see figures.js), "ended" (detail: a WhipError; only after "live", only once).

import { Figures } from "./figures.js";
import { offerFragment, readFragment, renewAnswer } from "./ice_fragment.js";
import { hasRelay, readIceServers, readOwnTarget } from "../shared/link_header.js";
import { createOffer } from "./offer.js";
import { Recovery, watchNetwork } from "./recovery.js";
import { Senders } from "./senders.js";
import { SessionControl } from "./session_control.js";
import { SessionStatus } from "./session_status.js";
import { WhipError, isGone, readText, refusal, request } from "../shared/whip_http.js";

const CONNECT_TIMEOUT_MS = 15_000;
const RESTART_TIMEOUT_MS = 3_000; // Short: the network that it goes out by may be the one that is gone.
const STATUS_RELATION = "urn:whipway:status";
const FIGURES_INTERVAL_MS = 1_000;
// Reports on what is sent come back several times a second. Browsers take some 5 s to say "disconnected", and by
// then the server may have given the client up.
const SILENCE_SECONDS = 2;
const ENDED_STATES = new Set(["ended", "closed", "failed"]);
const PATH_ERRORS = new Set(["no-path", "lost", "ended-by-server"]);

export class WhipClient extends EventTarget {
  #endpoint;
  #token;
  #configuration;
  #connection = null;
  #senders = null;
  #control = null;
  #session = null; // URL of the WHIP session, known from the 201 until it is deleted.
  #answer = "";
  #canRestart = false;
  #recovery = null; // While media can flow.
  #publishing = null;
  #interrupt = null; // Ends the wait for the connection; null when nobody waits.
  #phase = "idle";
  #stopping = false;
  #confirmed = true; // The server confirmed the DELETE, if one was needed.
  #status = null; // A SessionStatus, if the server tells.
  #statusSeen = false;
  #timers = new Set();
  #figures = new Figures();
  #onAir = null; // The mid of the picture that the server has on air.
  #leave = new AbortController(); // Takes the listeners on the browser's network away.

  /**
   * `endpoint`: the WHIP endpoint with its query; `token`: a bearer token, or empty for none;
   * `iceTransportPolicy`: "relay" sends everything through the server's TURN servers.
   */
  constructor(endpoint, { token = "", iceTransportPolicy = "all" } = {}) {
    super();
    this.#endpoint = endpoint;
    this.#token = token;
    this.#configuration = { bundlePolicy: "max-bundle", iceTransportPolicy };
  }

  /**
   * Publishes tracks, `{audio, videos}`; resolves once media flows, raises WhipError (kind "stopped" after stop()).
   * Options: `videoBitrate`, `audioBitrate` in bit/s, `frameRate`, all upper limits; `simulcast`. One call per client.
   */
  publish(media, options = {}) {
    this.#publishing = this.#run(media, options);
    return this.#publishing;
  }

  /** The Senders of what is published; null before the offer and after the end. */
  get senders() {
    return this.#connection && this.#senders;
  }

  /** The SessionControl; null before there is a session, and after its end. */
  get control() {
    return this.#session && this.#control;
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

  async #run(media, options) {
    try {
      await this.#negotiate(media, options);
      await this.#connected();
      this.#stopIfAsked();
    } catch (error) {
      const told = this.#stopping ? error : await this.#explain(error);
      await this.#close();
      throw this.#stopping ? new WhipError("stopped") : told;
    }
    this.#enter("live");
    this.#watchPath();
    this.#every(FIGURES_INTERVAL_MS, () => this.#readFigures());
  }

  async #negotiate(media, options) {
    const connection = new RTCPeerConnection(this.#configuration);
    this.#connection = connection;
    this.#senders = new Senders(connection, media, options);
    connection.onconnectionstatechange = () => this.#onConnectionState(connection.connectionState);
    const offer = await createOffer(connection);
    this.#enter("offering");
    const iceServers = await this.#postOffer(offer.sdp);
    this.#stopIfAsked();
    // Nothing could ever get through: no need to wait for that.
    if (this.#configuration.iceTransportPolicy === "relay" && !hasRelay(iceServers)) throw new WhipError("no-relay");
    this.#useIceServers(iceServers);
    this.#enter("connecting");
    await this.#applyAnswer(offer, this.#answer);
    this.#watchTransport();
    await this.#senders.limit(options);
    this.#stopIfAsked();
  }

  /** Posts the offer, takes session and answer from the reply; returns the ICE servers that it names. */
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
    this.#control = new SessionControl(response, this.#session, (...request) => this.#request(...request));
    this.#followStatus(response);
    this.#answer = await readText(response);
    if (!this.#answer.trim()) throw new WhipError("no-answer");
    // RFC 9725 section 4.3.1: a server that can restart ICE gives the session an entity tag.
    this.#canRestart = response.headers.has("ETag");
    return readIceServers(response.headers.get("Link"));
  }

  #useIceServers(iceServers) {
    if (iceServers.length === 0) return;
    try {
      this.#connection.setConfiguration({ ...this.#configuration, iceServers });
    } catch (error) {
      console.warn(`The server's ICE servers are not used: ${error.message}`);
    }
  }

  async #applyAnswer(offer, sdp) {
    try {
      await this.#connection.setLocalDescription(offer)
        .catch(() => this.#connection.setLocalDescription(offer.unchanged));
      await this.#connection.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      throw new WhipError("bad-answer", { reason: error.message });
    }
  }

  #watchTransport() {
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
    if (!this.#isUp()) return;
    if (state === "connected") this.#heal();
    if (state === "disconnected") this.#break({ patient: true });
    if (state === "failed") this.#break({ patient: false });
    if (state === "closed") this.#lose("ended-by-server");
  }

  #heal() {
    this.#enter("live");
    this.#recovery?.healed();
  }

  #break({ patient }) {
    this.#enter("interrupted");
    if (this.#recovery) this.#recovery.broken({ patient });
    else if (!patient) this.#lose("lost");
  }

  #judgeSilence(silence) {
    if (silence === null || !this.#recovery || this.#connection.connectionState !== "connected") return;
    if (silence > SILENCE_SECONDS) this.#break({ patient: false });
    else this.#heal();
  }

  #watchPath() {
    if (!this.#canRestart) return;
    this.#recovery = new Recovery(() => this.#restartIce(), () => this.#lose("lost"));
    watchNetwork(() => this.#recovery.networkChanged(), this.#leave.signal);
  }

  /** One try at an ICE restart (RFC 9725 section 4.3.3); true if it was taken. Media goes on meanwhile. */
  async #restartIce() {
    try {
      const offer = await createOffer(this.#connection, { iceRestart: true });
      const response = await this.#patch(offerFragment(offer.sdp));
      if (!this.#isUp()) return false;
      if (isGone(response)) this.#lose("lost");
      const fragment = response.status === 200 ? readFragment(await readText(response)) : null;
      if (!fragment || !this.#isUp()) return false;
      this.#useIceServers(readIceServers(response.headers.get("Link"))); // Credentials may be new.
      await this.#applyAnswer(offer, renewAnswer(this.#answer, fragment));
      return true;
    } catch {
      return false;
    }
  }

  #patch(fragment) {
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" };
    return this.#request(this.#session, { method: "PATCH", headers, body: fragment }, RESTART_TIMEOUT_MS);
  }

  async #lose(kind) {
    if (!this.#isUp()) return;
    this.#clearTimers();
    this.#end(await this.#explain(new WhipError(kind)));
  }

  /** The media path is gone; the server may still be able to say why. Any other error stays as it is. */
  async #explain(error) {
    if (!PATH_ERRORS.has(error.kind)) return error;
    const status = (this.#session && await this.#status?.read()) ?? {};
    return saysWhy(status) || (status.gone && error.kind !== "no-path") ? this.#endedByServer(status) : error;
  }

  #endedByServer({ body, detail }) {
    this.#session = null; // Nothing is left to delete.
    const facts = { reason: body?.reason ?? "", detail: body?.detail ?? detail ?? "", snapshot: body };
    return new WhipError("ended-by-server", facts);
  }

  #end(error) {
    if (!this.#isUp()) return;
    this.#close();
    this.dispatchEvent(new CustomEvent("ended", { detail: error }));
  }

  #followStatus(response) {
    const url = readOwnTarget(response, STATUS_RELATION, this.#session);
    if (!url) return;
    this.#status = new SessionStatus(url, (...request) => this.#request(...request), (told) => this.#onStatus(told));
    this.#status.follow();
  }

  #onStatus(status) {
    if (status.body) this.#statusSeen = true;
    else if (status.gone && !this.#statusSeen) return this.#status.stop(); // It is named, but there is none.
    if (Array.isArray(status.body?.inputs)) this.#obey(status.body);
    if (!status.gone) this.dispatchEvent(new CustomEvent("status", { detail: status.body ?? null }));
    if (!status.gone && !ENDED_STATES.has(status.body?.state)) return;
    if (this.#isUp()) this.#end(this.#endedByServer(status));
    else if (saysWhy(status)) this.#interrupt?.(this.#endedByServer(status));
  }

  #obey({ inputs, input }) {
    this.#onAir = input?.on_air ?? null;
    this.senders?.obey(inputs, input?.wanted).catch(() => {}); // The connection may just be closing.
  }

  async #readFigures() {
    if (!this.#isUp()) return "stop";
    const figures = this.#figures.read(await this.#connection.getStats(), this.#onAir);
    if (!this.#isUp()) return "stop";
    this.dispatchEvent(new CustomEvent("figures", { detail: figures }));
    this.#judgeSilence(figures.silence);
    return "again";
  }

  #request(url, init, timeout) {
    const headers = { ...init.headers };
    if (this.#token) headers.Authorization = `Bearer ${this.#token}`;
    return request(url, { ...init, headers }, timeout);
  }

  async #close() {
    this.#clearTimers();
    this.#leave.abort();
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
      this.#confirmed = response.ok || isGone(response);
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
    this.#recovery?.stop();
    this.#status?.stop();
    for (const timer of this.#timers) clearTimeout(timer.id);
    this.#timers.clear();
  }
}

/** The session is over by more than that nothing came: then what was seen from here says more. */
function saysWhy({ body }) {
  return ENDED_STATES.has(body?.state) && body.reason !== "setup_timeout";
}
