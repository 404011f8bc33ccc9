// Which charts a stream has: what each shows of a point in time, in which words, and how its axis begins.

import { bitrateWords } from "../shared/words.js";

/**
 * `key`: of a point's figure; `least`: the axis reaches so far at any rate; `tight`: from here on the traffic light is
 * yellow; `isOfWhip`: RTMP does not tell it.
 */
export const CHARTS = [
  { key: "bitrate", title: "Bitrate", least: 500_000, words: bitrateWords, isWide: true },
  { key: "fps", title: "Frame rate", least: 30, words: (value) => `${Math.round(value)} fps` },
  {
    key: "loss", title: "Packet loss", least: 0.02, tight: 0.05, isOfWhip: true,
    words: (value) => `${(value * 100).toFixed(1)} %`,
  },
  { key: "round_trip_ms", title: "Round trip", least: 50, tight: 150, words: milliseconds, isOfWhip: true },
  { key: "jitter_ms", title: "Jitter", least: 10, words: milliseconds, isOfWhip: true },
];
export const SPAN_MS = 600_000; // What a chart looks back.
export const MINUTE_MS = 60_000;

export function timeWords(at) {
  return new Date(at).toLocaleTimeString(undefined, { timeStyle: "medium" });
}

function milliseconds(value) {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}
