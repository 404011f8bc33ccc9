// Where the stream goes, in plain words, from the sinks in the server's snapshot of a session. "On air" is said
// only of what the server calls publishing: then an RTMP server has taken media, and goes on taking it.

import { bitrateWords, durationWords, sentence, text } from "./words.js";

const SLOW_SECONDS = 2; // Servers on slow paths acknowledge once a second or so.
const AT_END = new Set(["failed", "closed"]);

// The server's word for what went wrong at a sink → how a sentence about it goes on.
const REASONS = {
  unreachable: "the RTMP server cannot be reached",
  connection_lost: "the connection to the RTMP server broke",
  closed_by_peer: "the RTMP server closed the connection",
  closed_early: "the RTMP server closed the connection instead of taking the stream",
  timeout: "the RTMP server did not answer in time",
  stalled: "the RTMP server takes nothing any more",
  too_slow: "the RTMP server takes less than is sent",
  protocol: "the RTMP server said something that is not RTMP",
  bad_name: "the RTMP server says that the name is taken",
  refused: "the RTMP server refused the stream",
  tls: "no secure connection to the RTMP server came about",
  unauthorized: "the RTMP server wants another user or password",
  egress_refused: "this server may not send there",
};
// The network's own word for the most frequent cause, in any case.
const CONNECTION_REFUSED = /connection refused|connect call failed|econnrefused/i;

/** Of all sinks together: `{air, headline, seconds}`, where air is "on", "part" or "off"; seconds: on air so long. */
export function airOf(sinks) {
  const onAir = sinks.filter(isOnAir);
  const seconds = onAir.length ? Math.max(...onAir.map((sink) => sink.publishing_for ?? 0)) : null;
  if (onAir.length === 0) return { air: "off", headline: "Not on air", seconds };
  if (onAir.length === sinks.length) return { air: "on", headline: "On air", seconds };
  return { air: "part", headline: `On air at ${onAir.length} of ${sinks.length} targets`, seconds };
}

/** The sinks of a snapshot; after the session's end none of them is on air any more. */
export function sinksOf(snapshot, isOver = false) {
  const sinks = Array.isArray(snapshot?.sinks) ? snapshot.sinks : [];
  return isOver ? sinks.map((sink) => (AT_END.has(sink.state) ? sink : { ...sink, state: "closed" })) : sinks;
}

/** What is shown of one sink: `{target, lamp, state, figures}`, where lamp is "on", "busy", "bad" or "off". */
export function sinkView(sink, snapshot) {
  const view = VIEWS[sink.state] ?? { lamp: "off", state: ({ state }) => sentence(state) };
  return {
    target: targetWords(sink),
    lamp: view.lamp,
    state: view.state(sink, snapshot),
    figures: isOnAir(sink) ? figureWords(sink) : troubleWords(sink),
  };
}

/** For who listens: what is wrong where, without anything that counts. Nothing while all is well. */
export function newsWords(sinks) {
  const troubled = sinks.filter((sink) => !isOnAir(sink) && text(sink.reason));
  return troubled.map((sink) => {
    const what = AT_END.has(sink.state) ? "given up" : "trying again";
    return `${targetWords(sink)}: ${what}, ${reasonWords(sink)}.`;
  }).join(" ");
}

const VIEWS = {
  connecting: { lamp: "busy", state: connectingWords },
  publishing: { lamp: "on", state: onAirWords },
  retrying: { lamp: "busy", state: retryWords },
  failed: { lamp: "bad", state: (sink) => withReason("Given up", sink) },
  closed: { lamp: "off", state: (sink) => withReason("Ended", sink) },
};

function connectingWords(sink, snapshot) {
  if (text(sink.reason)) return retryWords(sink);
  return snapshot?.size ? "Connecting to the RTMP server" : "Waiting for the first picture";
}

function onAirWords({ publishing_for: seconds, since_progress: idle, queue_ms: waiting }) {
  if (idle >= SLOW_SECONDS && waiting > 0) return `On air, but nothing was taken for ${Math.floor(idle)} s`;
  return seconds >= 0 ? `On air for ${durationWords(seconds)}` : "On air";
}

function retryWords(sink) {
  const seconds = Math.ceil(sink.next_try_in ?? 0);
  return withReason(seconds > 0 ? `Trying again in ${seconds} s` : "Trying again now", sink);
}

function withReason(words, sink) {
  return text(sink.reason) ? `${words}: ${reasonWords(sink)}` : words;
}

function reasonWords({ reason, detail }) {
  if (reason === "unreachable" && CONNECTION_REFUSED.test(detail)) return "the RTMP server refused the connection";
  return REASONS[reason] ?? text(reason).replaceAll("_", " ");
}

function figureWords({ bitrate, audio, queue_ms: waiting, frames_dropped: dropped, reconnects }) {
  return [
    bitrateWords(bitrate ?? 0),
    soundWords(audio),
    `${Math.round(waiting ?? 0)} ms waiting`,
    counted(dropped ?? 0, "picture dropped", "pictures dropped"),
    reconnects > 0 ? counted(reconnects, "reconnect", "reconnects") : "",
  ].filter(Boolean).join(", ");
}

function troubleWords(sink) {
  const { detail, attempt, state, frames_dropped: dropped } = sink;
  return [
    sentence(detail),
    state === "retrying" && attempt > 1 ? `Try ${attempt}.` : "",
    dropped > 0 ? `${counted(dropped, "picture dropped", "pictures dropped")}.` : "",
  ].filter(Boolean).join(" ");
}

function soundWords(audio) {
  if (audio?.codec === "opus") return "Opus";
  if (audio?.codec !== "aac") return "";
  return audio.bitrate > 0 ? `AAC ${bitrateWords(audio.bitrate)}` : "AAC";
}

function counted(number, one, many) {
  return `${number} ${number === 1 ? one : many}`;
}

/** The server has taken users, passwords and arguments out of both. */
export function targetWords({ stream_url: url, stream_name: name }) {
  return `${text(url).replace(/\/+$/, "")}/${text(name)}`;
}

function isOnAir({ state }) {
  return state === "publishing";
}
