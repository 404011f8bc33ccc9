// The list of RTMP targets. Rows stay in place while what they say changes, so that a selection in one survives;
// the list itself is quiet for screen readers, and the line of news beside it speaks when a state changes.

import { newsWords, sinkView } from "../shared/sink_wording.js";
import { elements, setText } from "./view.js";

const HINTS = {
  idle: "Each RTMP target and its state appear here once you publish.",
  none: "This stream has no RTMP target: nobody gets it.",
  silent: "No word from the server: what is shown here is old.",
};

const rows = new Map(); // By the sink's id.

/** Nothing is published: an empty list and what it is for. */
export function clearSinks() {
  showSinks([], null);
  setText("sinks-hint", HINTS.idle);
}

/** `snapshot`: of the session that the sinks belong to. */
export function showSinks(sinks, snapshot) {
  const ids = new Set(sinks.map(({ id }) => String(id)));
  for (const [id, row] of rows) if (!ids.has(id)) removeRow(id, row);
  for (const sink of sinks) fillRow(rowOf(String(sink.id)), sinkView(sink, snapshot));
  elements.sinks.classList.remove("stale");
  setText("sinks-hint", sinks.length ? "" : HINTS.none);
  setText("sinks-news", newsWords(sinks));
}

/** Nothing was heard for a while: what is known stays, and is called old. */
export function showSinksAsOld() {
  elements.sinks.classList.add("stale");
  setText("sinks-hint", HINTS.silent);
}

function rowOf(id) {
  if (!rows.has(id)) {
    const row = elements["sink-row"].content.cloneNode(true).firstElementChild;
    rows.set(id, row);
    elements.sinks.append(row);
  }
  return rows.get(id);
}

function removeRow(id, row) {
  rows.delete(id);
  row.remove();
}

function fillRow(row, { lamp, ...words }) {
  row.dataset.lamp = lamp;
  for (const [part, value] of Object.entries(words)) {
    const place = row.querySelector(`[data-part="${part}"]`);
    if (place.textContent !== value) place.textContent = value;
  }
}
