// What is happening, in plain words. Nothing here touches the page or the network.

import { SourceError } from "./sources.js";
import { bitrateWords, sentence, text } from "../shared/words.js";
import { REQUEST_TIMEOUT_MS, WhipError } from "../shared/whip_http.js";

const SOURCES = { camera: "camera", screen: "screen", picture: "test picture", microphone: "microphone" };
const FURTHER_SOURCES = { camera: "second camera", screen: "second screen", picture: "second test picture" };

export const PREPARING = {
  camera: ["Asking for the camera", "Your browser may ask for permission."],
  screen: ["Asking for the screen", "Choose in your browser what to share."],
  picture: ["Drawing the test picture", ""],
  microphone: ["Asking for the microphone", ""],
};

export const PHASES = {
  offering: ["Sending the offer", "Asking the server to take the stream."],
  connecting: ["Connecting", "The server agreed. Opening the way for picture and sound."],
  live: ["Sending to the server", ""],
  interrupted: ["Connection interrupted", "Waiting for it to come back."],
};

// The main source ended by itself, and the stream with it, or its picture alone.
export const SOURCE_GONE = {
  camera: "The camera was disconnected, so the stream was ended.",
  screen: "Screen sharing ended, and the stream with it.",
  picture: "",
};
export const MICROPHONE_LOST = "The microphone was disconnected: silence is sent. Choose another one.";
export const CAMERA_LOST = "The camera was disconnected: nothing of it is sent. Choose a source to go on with.";

export const NAMES_ARE_KNOWN = "You can change both while live.";
export const NAMES_ARE_UNKNOWN = "Your browser tells their names once it may use them.";
export const SOUND_AT_REST = "The level shows here while sound is sent.";

// The stream that the dashboard chose.
export const ASSIGNED = {
  reading: "Asking the dashboard for the stream",
  known: "You publish the stream",
  hint: "The dashboard chose it.",
  unknown: "The stream is not known yet.",
};
export const BACK = "Back to its page";
export const TO_SIGN_IN = "Sign in";
export const TO_DASHBOARD = "Open the dashboard";

// The browser's name for the error → what the person can do about it.
const SOURCE_FAILURES = {
  NotAllowedError: (kind) => (kind === "screen"
    ? "No screen was chosen, or sharing was not allowed."
    : "The browser may not use the camera or the microphone. Allow it beside the page's address, then try again."),
  NotFoundError: (kind, name) => `No ${name} was found. Connect one, or choose another source.`,
  NotReadableError: (kind, name) => `The ${name} is there but cannot be read. Perhaps another program is using it.`,
  OverconstrainedError: (kind, name, { constraint }) => (constraint === "deviceId"
    ? `The ${name} that you chose is not there any more. Choose another one.`
    : `The ${name} cannot give this resolution or frame rate. Choose another.`),
  SecurityError: () => "Browsers give camera and screen only to secure pages: open this page by https, or on localhost.",
  InvalidStateError: () => "The browser wants a click first. Press Start.",
};

// Kind of WhipError → [headline, detail] from its facts.
const WHIP_FAILURES = {
  unreachable: ({ host }) => [
    "The server cannot be reached",
    `There is no answer from ${host}. Is it running, and is the network up?`,
  ],
  timeout: ({ host }) => ["The server did not answer", `${host} said nothing for ${REQUEST_TIMEOUT_MS / 1000} seconds.`],
  refused: refusedWords,
  "not-created": ({ status }) => [
    "The server's reply is not a WHIP reply",
    `It answered ${status} where a new session is 201. Is this really a WHIP server?`,
  ],
  "no-location": () => [
    "The server's reply is incomplete",
    "It took the offer but did not name the session (no Location header), so the stream could never be stopped.",
  ],
  "no-answer": () => ["The server's reply is incomplete", "It took the offer but sent no answer to it."],
  "bad-answer": ({ reason }) => ["The server's answer cannot be used", `The browser says: ${reason}`],
  "no-path": () => [
    "No way to the server for picture and sound",
    "The server agreed, but nothing gets through. Perhaps a firewall is in the way, or the server announces a wrong address.",
  ],
  "no-relay": () => [
    "The server names no relay",
    "This page's address asks for a relay (relay=1), but the server named no TURN server. Open the page without it.",
  ],
  "signed-out": () => [
    "You are not signed in",
    "The dashboard chose this stream, but your sign-in is missing or has ended. Sign in there, then press Start.",
  ],
  "may-not-publish": () => [
    "Your key may not publish",
    "It may look at streams only. Ask an admin for a key of the role user, or enter an access token for this stream.",
  ],
  "stream-gone": () => ["There is no such stream", "It was deleted, or this page's address is incomplete. Choose one in the dashboard."],
  "no-target": () => [
    "This server has nowhere to send the stream",
    "It runs without its RTMP server, and no other one is set up (streams.rtmp_url).",
  ],
  "no-h264": () => ["This browser cannot send H.264", "RTMP needs it. Try Chrome, Edge or Safari."],
  lost: () => ["Connection lost", "Nothing gets through to the server any more. Press Start to try again."],
  "ended-by-server": (facts) => ["The server ended the stream", endWords(facts)],
};

// The server's word for why a session is over → a sentence.
const END_REASONS = {
  deleted: "It was stopped from elsewhere.",
  replaced: "Somebody else began to publish this stream.",
  client_closed: "This browser closed the connection.",
  setup_timeout: "The connection for picture and sound did not come about in time.",
  dtls_failed: "Browser and server could not agree on encryption.",
  sink_failed: "No RTMP target takes the stream, and none will: see below why.",
  silence: "Nothing came from this browser for too long.",
  shutdown: "The server is being stopped.",
  worker_lost: "The media worker that carried it died; publish again.",
  lost: "The server lost it; publish again.",
  internal_error: "The server made a mistake; its log says more.",
};

const FIELD_NAMES = {
  stream_name: "Stream name",
  stream_url: "RTMP target",
  audio: "Sound",
  audio_bitrate: "Audio bitrate",
  filler: "While no picture comes",
};

/** `[headline, detail]` for any error that publishing can raise. */
export function failureWords(error) {
  if (error instanceof WhipError) return WHIP_FAILURES[error.kind](error.facts);
  if (error instanceof SourceError) return [`The ${sourceName(error)} could not be opened`, sourceWords(error)];
  return ["Something went wrong in this page", String(error.message ?? error)];
}

/** `[headline, detail]` for a field whose value the form does not take. */
export function fieldWords({ labels, validity, title, validationMessage }) {
  const why = validity.valueMissing ? "It is empty." : title || sentence(validationMessage);
  return ["Not started", `Look at “${labels[0].textContent.trim()}”. ${why}`];
}

export function sourceWords(error) {
  const { kind, cause } = error;
  const words = SOURCE_FAILURES[cause?.name];
  return words ? words(kind, sourceName(error), cause) : `The browser says: ${cause?.message || cause?.name || "nothing more"}`;
}

function sourceName({ kind, isFurther }) {
  return (isFurther ? FURTHER_SOURCES : SOURCES)[kind];
}

/** Why a change was not made while live. */
export function notChangedWords(error) {
  const what = error.kind === "microphone" ? "microphone" : "source";
  return `The ${what} was not changed. ${sourceWords(error)}`;
}

/** Why the browser does not tell the names of cameras and microphones. */
export function namesRefusedWords(error) {
  return sourceWords(new SourceError("camera", error));
}

/** Why the server did not do what it was asked for while live. */
export function controlWords(error) {
  const { status, problem } = error.facts ?? {};
  if (status) return `The server did not do it. ${sentence(problem.detail) || sentence(problem.title)} (HTTP ${status})`;
  return `The server was not asked: ${error instanceof WhipError ? "it cannot be reached" : text(error.message)}.`;
}

function refusedWords({ status, problem }) {
  const detail = sentence(problem.detail);
  if (status === 401) {
    return ["The server asks for an access token", `${detail} Enter it under “Access token”, then press Start.`.trim()];
  }
  if (problem.code === "stream_busy") {
    return ["Somebody is already publishing this stream", "Wait until they stop, or choose another stream name."];
  }
  const field = FIELD_NAMES[problem.parameter] ?? text(problem.parameter);
  const where = field && `Look at “${field}”.`;
  const words = [detail || "It gave no reason.", where, `(HTTP ${status})`].filter(Boolean).join(" ");
  return [text(problem.title) || "The server refused the stream", words];
}

function endWords({ reason, detail }) {
  const why = END_REASONS[reason] ?? sentence(reason);
  return [why, sentence(detail)].filter(Boolean).join(" ") || "It gave no reason.";
}

/** "-18 dB"; empty when nothing is known. `level`: as it is shown; `lowest`: what is below it is not told apart. */
export function levelWords(reading, level, lowest) {
  if (!reading) return "";
  if (reading.isSilent) return "silent";
  return `${reading.loudest < lowest ? "< " : ""}${level === 0 ? 0 : `\u2212${-level}`} dB`;
}

/**
 * `{words, isTrouble}` of the sound that is sent. `reading`: null when nothing is known; `isSent`: there is a stream;
 * `isMuted`; `hasMicrophone`: one is part of it.
 */
export function soundWords(reading, { isSent, isMuted, hasMicrophone }) {
  const [fine, trouble] = [(words) => ({ words, isTrouble: false }), (words) => ({ words, isTrouble: true })];
  if (!isSent) return fine(SOUND_AT_REST);
  if (isMuted) return trouble("Muted: silence is sent.");
  if (!reading) return fine("Click anywhere on this page to see how loud it is.");
  if (reading.isSilent) return trouble(`Silence is sent.${hasMicrophone ? " Is the microphone switched off, or another one in use?" : ""}`);
  if (reading.isClipped) return trouble("Too loud: the sound is distorted. Turn it down.");
  return fine("Sound is sent.");
}

/** "Sending 1280x720, 25 fps, 1.9 Mbit/s, RTT 12 ms, loss 0.0 %", as far as it is known. */
export function liveWords({ width, height, frameRate, bitrate, roundTrip, loss, limit }) {
  const parts = [
    width ? `${width}x${height}` : "no picture",
    frameRate === null ? "" : `${Math.round(frameRate)} fps`,
    bitrate === null ? "" : bitrateWords(bitrate),
    roundTrip === null ? "" : `RTT ${Math.round(roundTrip * 1000)} ms`,
    loss === null ? "" : `loss ${(loss * 100).toFixed(1)} %`,
  ];
  const limits = { bandwidth: ", limited by the network", cpu: ", limited by this computer" };
  return `Sending ${parts.filter(Boolean).join(", ")}${limits[limit] ?? ""}`;
}

/** What the server thinks is worth mending, and what it misses though it is not muted here, one line each. */
export function warningWords(snapshot, muted) {
  const warnings = Array.isArray(snapshot?.warnings) ? snapshot.warnings.map(({ detail }) => `${text(detail)}.`) : [];
  if (snapshot?.video === "muted" && !muted.video) warnings.push("The server gets no picture.");
  if (snapshot?.audio === "muted") warnings.push("The server gets no sound.");
  return [...new Set(warnings)].join("\n");
}

/** `headline`, and what is muted. */
export function mutedWords(headline, { video, audio }) {
  const muted = [video && "picture", audio && "sound"].filter(Boolean).join(" and ");
  return muted ? `${headline}, ${muted} muted` : headline;
}
