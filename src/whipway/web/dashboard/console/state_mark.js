// The state of a stream, or of a session, as lists show it: a word, and a dot of its own form.

import { h } from "./elements.js";
import { stateWord } from "./state_words.js";

export function stateMark(state) {
  const dot = h("span", { class: "state-dot", "aria-hidden": "true" });
  const word = stateWord(state);
  return h("span", { class: "state", "data-state": state }, dot, `${word[0].toUpperCase()}${word.slice(1)}`);
}
