// The sound's levels, each as a bar, and as a number that stands still long enough to be read: the loudest of the last
// seconds. And in words what is wrong with what is sent.

import { elements, setText } from "./view.js";
import { levelWords, soundWords } from "./wording.js";

const LOWEST = -60; // dB; below it the bar is empty.
const ROWS = { sent: ["level", "level-words"], microphone: ["microphone-level", "microphone-level-words"] };

/** `name`: "sent" or "microphone", which has a row only while there is other sound beside it. */
export function showLevel(name, reading) {
  const [id, wordsId] = ROWS[name];
  const level = reading && onScale(reading.level);
  const words = levelWords(reading, reading && onScale(reading.loudest), LOWEST);
  elements[id].firstElementChild.style.transform = `scaleX(${level === null ? 0 : 1 - level / LOWEST})`;
  setAttribute(elements[id], "aria-valuenow", String(level ?? LOWEST));
  setAttribute(elements[id], "aria-valuetext", words || "Not measured");
  elements[id].classList.toggle("is-clipped", reading?.isClipped === true);
  setText(wordsId, words);
  if (name === "microphone") elements["microphone-meter"].hidden = reading === null;
}

/** `sent`: a reading; `state`: see `soundWords`. */
export function showSound(sent, state) {
  const { words, isTrouble } = soundWords(sent, state);
  setText("sound-words", words);
  elements["sound-words"].classList.toggle("warnings", isTrouble);
}

function onScale(level) {
  return Math.round(Math.min(Math.max(level, LOWEST), 0));
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}
