// A moment in a list: how long ago, and when exactly for who points at it.

import { h } from "./elements.js";
import { agoWords, momentWords } from "./state_words.js";

const DAY = 86_400; // Seconds. Further back, the day says more than their number.

/** `clock`: the server's; `iso`: null is nothing. */
export function timeMark(clock, iso) {
  if (!iso) return null;
  const seconds = clock.secondsSince(iso);
  return h("time", { datetime: iso, title: momentWords(iso) }, seconds < DAY ? agoWords(seconds) : dayWords(iso));
}

/** The day of a moment, as the reader's own place writes it. */
export function dayWords(iso) {
  return new Date(iso).toLocaleDateString(undefined, { dateStyle: "medium" });
}
