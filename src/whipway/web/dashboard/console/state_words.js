// How a stream stands, in plain words: its state, who publishes it, why it ended. Nothing here touches the page.

import { sentence, text } from "../shared/words.js";

const STATES = { created: "Created", live: "Live", ended: "Ended", locked: "Locked", deleted: "Deleted" };
const PUBLISHERS = { whip: "WHIP", rtmp: "RTMP" };

// Why a stream ended → the words after "Ended". What is not listed is said as the server says it.
const END_REASONS = {
  unpublished: "the publisher stopped",
  client_closed: "the publisher stopped",
  deleted: "the publisher stopped",
  stopped: "it was stopped here",
  locked: "it was locked",
  replaced: "another publisher took over",
  setup_timeout: "no connection to the publisher came about",
  silence: "nothing came from the publisher any more",
  dtls_failed: "publisher and server could not agree on encryption",
  sink_failed: "no target takes the stream",
  shutdown: "the server was stopped",
  restart: "the server was started anew",
  worker_lost: "the media worker that carried it died; publish again",
  lost: "the server lost it; publish again",
  internal_error: "the server made a mistake; its log says more",
};
const AGAIN = "It can be live again at any time.";
const AWAITED = " Its first picture is awaited.";
const MINUTE = 60; // All of these in seconds.
const HOUR = 3600;
const DAY = 86_400;

// Each: what is said of a stream in that state.
const VIEWS = {
  created: () => ({ word: "Not live yet", detail: "Publish to one of its addresses, or start in the browser." }),
  live: ({ publisher, live_at: since }) => ({ word: "Live", detail: publisherWords(publisher), since }),
  ended: ({ reason, ended_at: since }) => ({ word: "Ended", detail: sentence(endWords(reason)) || AGAIN, since }),
  locked: ({ locked_at: since }) => ({ word: "Locked", detail: "Nobody can publish it until it is unlocked.", since }),
};

/** `{word, detail, since}`: the state in one word, what that means now, and when it began (ISO), or null. */
export function stateView(stream) {
  const { state, publisher } = stream;
  const isComing = publisher && state !== "live";
  const view = isComing ? { word: "Connecting", detail: publisherWords(publisher) + AWAITED } : VIEWS[state]?.(stream);
  return { word: stateWord(state), detail: "", since: null, ...view };
}

export function stateWord(state) {
  return STATES[state] ?? sentence(state).replace(/\.$/, "");
}

/** "Published by WHIP from 192.0.2.1." */
function publisherWords(publisher) {
  if (!publisher) return "";
  const from = text(publisher.client) ? ` from ${publisher.client}` : "";
  return `Published by ${PUBLISHERS[publisher.kind] ?? text(publisher.kind)}${from}.`;
}

/** Why a stream entered a state, or ""; goes on from a word such as "Ended". */
export function endWords(reason) {
  return END_REASONS[reason] ?? text(reason).replaceAll("_", " ");
}

/** How long ago, coarsely; a moment that is to come, by clocks that differ, is now. */
export function agoWords(seconds) {
  if (seconds < MINUTE) return "just now";
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  const days = Math.floor(seconds / DAY);
  return days === 1 ? "1 day ago" : `${days} days ago`;
}

/** Day and time as the reader's own place writes them. */
export function momentWords(iso) {
  const moment = new Date(iso);
  const style = { dateStyle: "medium", timeStyle: "medium" };
  return Number.isNaN(moment.getTime()) ? "" : moment.toLocaleString(undefined, style);
}
