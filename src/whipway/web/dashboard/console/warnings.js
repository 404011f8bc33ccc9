// What is wrong with a stream, and what to do about it, in plain words: from the server's warnings, its traffic
// light, and the state of the sinks. Tables by the server's own codes; a code that is not in them is told as the
// server tells it, without advice. Nothing here touches the page.

import { limitWords } from "../shared/quality_wording.js";
import { sinkView, sinksOf, targetWords } from "../shared/sink_wording.js";
import { sentence, text } from "../shared/words.js";

// The server's warning → how grave it is, what to do. Two issues with one cause show as one.
const BY_WARNING = {
  keyframe_interval: {
    todo: "Set the key-frame interval of the encoder to 2 s. In OBS: Settings, Output, Keyframe Interval.",
  },
  b_frames: { todo: "Turn B-frames off: in OBS set “bframes=0” or the tuning “zerolatency”." },
  no_audio: {
    todo: "Look whether the microphone is muted or unplugged at the publisher, and whether the right one is chosen.",
  },
  no_video: {
    level: "red",
    todo: "Look whether the camera is on and chosen at the publisher, and whether its encoder runs.",
  },
  profile_differs: { todo: "Set the encoder's H.264 profile to baseline or main, as it says in its offer." },
  no_sender_report: { todo: "Sound and picture may come apart. Bring the encoder up to date, or start it anew." },
  loss: { todo: "Put the publisher on a cable or nearer to its access point, or lower its bitrate under Quality." },
  keyframe_requests_ignored: {
    todo: "Set the key-frame interval of the encoder to 1 or 2 s, so that the picture is soon back.",
  },
};

// How a reason of the traffic light begins → its cause, what to do.
const BY_REASON = [
  [/^Neither picture nor sound/, "silence",
    "Look whether the publisher still runs and is online. If it stays away, the stream ends by itself."],
  [/^Packets take/, "round_trip",
    "The way is long or congested: use a cable, stop other uploads there, or a server nearer to the publisher."],
  [/^The network loses/, "loss", BY_WARNING.loss.todo],
  [/^Some pictures come/, "delay",
    "The publisher's uplink or computer stalls now and then: lower the bitrate, close other programs there."],
  [/^The stream comes at/, "slow",
    "The encoder cannot keep up: choose a smaller picture, fewer fps or a faster preset, or lower the bitrate."],
];

// The server's word for what went wrong at a sink → what to do.
const BY_SINK = {
  unreachable: "Check the address, that the RTMP server runs, and that its firewall lets this server in.",
  connection_lost: "It is tried again by itself. If it goes on: look at the network between here and there.",
  closed_by_peer: "Look into the log of the RTMP server: it may have ended the stream on purpose.",
  closed_early: "Check stream name and key: many RTMP servers hang up when they do not know them.",
  timeout: "Check address and port: something answers there that may not be an RTMP server.",
  stalled: "The RTMP server or its network hangs. It is tried again by itself.",
  too_slow: "Lower the bitrate under Quality, or use a server with a faster line.",
  protocol: "Check the port: there is something else than an RTMP server.",
  bad_name: "Somebody else publishes that name there. Stop them, or use another name.",
  refused: "Check stream name and key at the service that you send to.",
  tls: "Check that the address may be used with rtmps://, and the certificate there.",
  unauthorized: "Add the target again with the right user and password: rtmp://user:password@host/app.",
  egress_refused: "This server may not send there. Whoever runs it allows the address by “egress.allow”.",
};

const HEADLINES = {
  green: "All is well",
  yellow: "Something to mend",
  red: "There is trouble",
};
const GRAVITY = { red: 0, yellow: 1 };
const STILL = {
  picture: {
    cause: "no_video", level: "yellow", topic: "No picture comes.",
    what: "No picture comes: the publisher has muted its camera.",
    todo: "Have it switched on again. Until then viewers hear the sound, or see the last picture.",
  },
  sound: {
    cause: "no_audio", level: "yellow", topic: "No sound comes.",
    what: "No sound comes: the publisher has muted its microphone.",
    todo: "Have it switched on again. Until then viewers hear silence.",
  },
  targets: {
    cause: "no_sink", level: "yellow", what: "This stream has no target: nobody gets it.", topic: "No target.",
    todo: "Add one under “Where it goes”.",
  },
  rtmp: {
    cause: "silence", level: "red", what: "Nothing comes from the RTMP publisher.", topic: "Nothing comes.",
    todo: "Look whether its encoder runs and is online.",
  },
};

/**
 * What is wrong now, the graver first: `{cause, level, what, topic, todo}`; level: "red" or "yellow"; topic: the same
 * without figures, for who listens. `live`: `{stream, session, rtmp}` as the server tells it.
 */
export function findIssues({ stream, session, rtmp }) {
  if (stream.state !== "live") return [];
  const found = session ? ofSession(session.snapshot) : ofRtmp(rtmp);
  return mostGraveOf(found).sort((one, other) => GRAVITY[one.level] - GRAVITY[other.level]);
}

/** `{color, headline}` of all of them together; color "" where there is nothing to judge. */
export function verdictOf({ stream }, issues) {
  if (stream.state !== "live") return { color: "", headline: "Not live" };
  const color = issues[0]?.level ?? "green";
  return { color, headline: HEADLINES[color] };
}

/** What to do about a sink's reason; "" where nobody knows. */
export function sinkAdvice(reason) {
  return BY_SINK[reason] ?? "";
}

function ofSession(snapshot) {
  return [ofLight, ofWarnings, ofMuted, ofSinks, ofLimit].flatMap((find) => find(snapshot));
}

function ofRtmp(rtmp) {
  return rtmp && rtmp.bitrate === 0 ? [STILL.rtmp] : [];
}

function ofLight({ quality }) {
  const { color, reasons } = quality?.light ?? {};
  if (!(color in GRAVITY) || !Array.isArray(reasons)) return [];
  return reasons.map((reason) => {
    const [, cause, todo] = BY_REASON.find(([pattern]) => pattern.test(reason)) ?? [null, reason, ""];
    return { cause, level: color, what: sentence(reason), topic: topicOf(reason), todo };
  });
}

function ofWarnings({ warnings }) {
  return (Array.isArray(warnings) ? warnings : []).map(({ code, detail }) => {
    const { level = "yellow", todo = "" } = BY_WARNING[code] ?? {};
    return { cause: code, level, what: sentence(detail), topic: topicOf(detail), todo };
  });
}

function ofMuted({ video, audio }) {
  return [video === "muted" && STILL.picture, audio === "muted" && STILL.sound].filter(Boolean);
}

function ofSinks(snapshot) {
  const sinks = sinksOf(snapshot);
  if (snapshot.state === "live" && sinks.length === 0) return [STILL.targets];
  const isAnyOnAir = sinks.some(({ state }) => state === "publishing");
  return sinks.filter(isTroubled).map((sink) => ({
    cause: `sink ${sink.id}`,
    level: sink.state === "failed" || !isAnyOnAir ? "red" : "yellow",
    what: `${targetWords(sink)}: ${sinkView(sink, snapshot).state}.`,
    topic: `${targetWords(sink)}: ${sink.state}.`,
    todo: sinkAdvice(sink.reason),
  }));
}

function ofLimit(snapshot) {
  const by = text(snapshot.quality?.limited_by);
  if (!by.startsWith("sink ")) return [];
  const what = limitWords({ ...snapshot.quality, is_heard: true }, sinksOf(snapshot));
  return [{ cause: "limit", level: "yellow", what, topic: "A target cannot take more.", todo: BY_SINK.too_slow }];
}

function isTroubled({ state, reason }) {
  return state !== "publishing" && state !== "closed" && text(reason) !== "";
}

/** Of two with one cause, the graver; of two as grave, the first. */
function mostGraveOf(issues) {
  const byCause = new Map();
  for (const issue of issues) {
    const before = byCause.get(issue.cause);
    if (!before || GRAVITY[issue.level] < GRAVITY[before.level]) byCause.set(issue.cause, issue);
  }
  // Where nothing at all comes, that a part does not come says nothing more.
  if (byCause.has("silence")) for (const part of ["no_video", "no_audio"]) byCause.delete(part);
  return [...byCause.values()];
}

/** Without its figures, which change each second. */
function topicOf(words) {
  return sentence(words).replace(/[\d.]*\d/g, "…");
}
