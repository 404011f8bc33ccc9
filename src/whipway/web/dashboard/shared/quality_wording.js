// How the picture fares, in plain words, from the quality in the server's snapshot: a traffic light with its
// reasons, what limits the bitrate, what is measured. Nothing that is not known is made up: it is a dash.

import { targetWords } from "./sink_wording.js";
import { bitrateWords, sentence, text } from "./words.js";

const UNKNOWN = "–";
const LIGHTS = { green: "All is well", yellow: "It is getting tight", red: "There is trouble" };
const CAPS = [300_000, 500_000, 800_000, 1_200_000, 2_000_000, 3_000_000, 5_000_000]; // Bit/s.
const BY_SINK = /^sink (.+)$/;

/** `{color, headline, reasons}`; color is "" where the server says nothing. */
export function lightView(quality) {
  const { color, reasons } = quality?.light ?? {};
  if (!(color in LIGHTS)) return { color: "", headline: "Not known yet", reasons: "" };
  const why = Array.isArray(reasons) ? reasons.map(sentence).join(" ") : "";
  return { color, headline: LIGHTS[color], reasons: why };
}

/** What holds the bitrate down, in one sentence. */
export function limitWords({ cap, limited_by: by, is_heard: isHeard = true }, sinks) {
  const upTo = bitrateWords(cap ?? 0);
  const unheard = isHeard ? "" : " This browser did not agree to be told.";
  const sink = BY_SINK.exec(text(by))?.[1];
  if (sink !== undefined) return `Held at ${upTo}: ${sinkName(sink, sinks)} cannot take more.${unheard}`;
  if (cap > 0) return `Held at ${upTo}, as asked here.${unheard}`;
  return "Nothing holds it down.";
}

/** What stands in the select of upper limits: `[value, words]`; `asked` is among them, whoever asked for it. */
export function capChoices(asked) {
  const caps = asked > 0 && !CAPS.includes(asked) ? [...CAPS, asked].sort((one, other) => one - other) : CAPS;
  return [["", "None"], ...caps.map((cap) => [String(cap), capWords(cap)])];
}

/**
 * The layers of the input on air: `[value, words]`; only "auto" where there is nothing to choose. Browsers leave
 * layers out that would be too small: what never came is not offered, unless it is `asked` for.
 */
export function layerChoices(inputs, asked = "auto") {
  const every = inputs.find((input) => input.on_air)?.layers ?? [];
  const layers = every.filter(({ rid, state }) => state !== "waiting" || rid === asked);
  if (layers.length === 0) return [["auto", "Only one"]];
  return [["auto", "Automatic"], ...layers.map(({ rid, size }) => [rid, size ? `${rid}: ${size[0]}x${size[1]}` : rid])];
}

/** The measured values by their place in the page. */
export function measuredWords(measured) {
  const known = (value, words) => (typeof value === "number" ? words(value) : UNKNOWN);
  const { width, height, fps } = measured ?? {};
  return {
    picture: width > 0 ? [`${width}x${height}`, known(fps, (each) => `${Math.round(each)} fps`)].join(", ") : UNKNOWN,
    video: known(measured?.video_bitrate, bitrateWords),
    sound: known(measured?.audio_bitrate, bitrateWords),
    interval: known(measured?.keyframe_interval || null, (seconds) => `${seconds.toFixed(1)} s`),
    keyframes: known(measured?.keyframe_requests, String),
    loss: known(measured?.loss, percent),
    repaired: known(measured?.repaired, String),
    trip: known(measured?.rtt_ms, milliseconds),
    jitter: known(measured?.jitter_ms, milliseconds),
    delay: known(measured?.max_frame_delay_ms, milliseconds),
    ratio: known(measured?.stream_time_ratio, percent),
  };
}

/** For who listens: without anything that counts, so that it is said once. */
export function qualityNews(quality, sinks) {
  const { color, headline } = lightView(quality);
  const light = color && color !== "green" ? `Quality: ${headline.toLowerCase()}.` : "";
  const sink = BY_SINK.exec(text(quality?.limited_by))?.[1];
  return [light, sink === undefined ? "" : `Held down: ${sinkName(sink, sinks)} cannot take more.`].filter(Boolean).join(" ");
}

/** The page calls a sink a target, and by its address where it is known. */
function sinkName(id, sinks) {
  const sink = sinks.find((one) => String(one.id) === id);
  return sink ? targetWords(sink) : `target ${id}`;
}

function capWords(cap) {
  return cap >= 1e6 && cap % 1e5 !== 0 ? `${Math.round(cap / 1000)} kbit/s` : bitrateWords(cap);
}

function percent(share) {
  return `${(share * 100).toFixed(1)} %`;
}

function milliseconds(value) {
  return `${Math.round(value)} ms`;
}
