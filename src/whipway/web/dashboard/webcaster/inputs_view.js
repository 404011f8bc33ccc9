// The list of inputs: a picture as the server has it, how it fares, and a button that puts it on air. Rows stay
// in place while what they say changes, and so does the keyboard's place: a button that cannot act now is still
// there to be found, and says so.

import { inputView, inputsOf, onAirWords } from "../shared/input_wording.js";
import { elements, setText } from "./view.js";

const HINT = "Each picture that is sent appears here once you are live.";

const rows = new Map(); // By mid.

/** Makes `choose(mid)` be called when somebody wants an input on air. */
export function bindInputs(choose) {
  elements.inputs.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button && button.getAttribute("aria-disabled") !== "true") choose(button.closest("li").dataset.mid);
  });
}

/** The panel has its place only where there is something to choose. `isExpected`: it will be filled soon. */
export function clearInputs(isExpected = false) {
  for (const [mid, row] of rows) removeRow(mid, row);
  elements["inputs-panel"].hidden = !isExpected;
  setText("inputs-hint", HINT);
  setText("inputs-news", "");
  setText("inputs-trouble", "");
}

/** `nameOf(mid)`: what the person calls it. */
export function showInputs(snapshot, nameOf) {
  const inputs = inputsOf(snapshot);
  const mids = new Set(inputs.map(({ mid }) => mid));
  for (const [mid, row] of rows) if (!mids.has(mid)) removeRow(mid, row);
  for (const input of inputs) fillRow(rowOf(input.mid), inputView(input, snapshot.input, nameOf(input.mid)));
  elements["inputs-panel"].hidden = inputs.length === 0;
  setText("inputs-hint", "");
  setText("inputs-news", onAirWords(inputs, snapshot.input, nameOf));
}

/** `url`: of an image; null while there is none. */
export function showInputPicture(mid, url) {
  const image = rows.get(mid)?.querySelector("img");
  if (!image) return;
  image.hidden = url === null;
  if (url === null) image.removeAttribute("src");
  else image.src = url;
}

/** What became of the wish to put one on air; "" when all is well. */
export function showInputsTrouble(words) {
  setText("inputs-trouble", words);
}

function rowOf(mid) {
  if (!rows.has(mid)) {
    const row = elements["input-row"].content.cloneNode(true).firstElementChild;
    row.dataset.mid = mid;
    rows.set(mid, row);
    elements.inputs.append(row);
  }
  return rows.get(mid);
}

function removeRow(mid, row) {
  rows.delete(mid);
  row.remove();
}

function fillRow(row, { standing, canAct, ...words }) {
  row.dataset.standing = standing;
  for (const [part, value] of Object.entries(words)) {
    const place = row.querySelector(`[data-part="${part}"]`);
    if (place.textContent !== value) place.textContent = value;
  }
  const button = row.querySelector("button");
  button.setAttribute("aria-disabled", String(!canAct));
  button.setAttribute("aria-label", `${words.action}: ${words.name}`);
  row.querySelector("img").alt = `Latest key frame of ${words.name}`;
}
