// The panel of quality: what is measured, a traffic light, and what can be asked for. A choice that is on its way
// to the server is left alone until the server has answered; then what the server says is shown.

import { inputsOf } from "../shared/input_wording.js";
import { capChoices, layerChoices, lightView, limitWords, measuredWords, qualityNews } from "../shared/quality_wording.js";
import { sinksOf } from "../shared/sink_wording.js";
import { elements, setText } from "./view.js";

const IDLE = "Figures and a traffic light appear here once you are live.";

let pending = 0; // Requests on their way.

/** `ask`: `{quality(values), keyframe()}`, each resolving to words of trouble, or "". */
export function bindQuality(ask) {
  const bind = (id, event, work) => elements[id].addEventListener(event, () => settle(work()));
  bind("cap", "change", () => ask.quality({ max_video_bitrate: Number(elements.cap.value) || null }));
  bind("layer", "change", () => ask.quality({ layer: elements.layer.value }));
  bind("keyframe", "click", () => ask.keyframe());
}

/** Nothing is published, or the server tells nothing of quality. */
export function clearQuality() {
  for (const id of ["cap", "layer", "keyframe"]) elements[id].disabled = true;
  fill(elements.cap, capChoices(null), "");
  fill(elements.layer, layerChoices([]), "auto");
  showLight({ color: "", headline: "Not live", reasons: "" });
  showMeasured(null);
  setText("limit-words", IDLE);
  setText("quality-news", "");
  setText("quality-trouble", "");
}

/** Nothing was heard for a while: what is known stays, and is dimmed, as the targets are, which say why. */
export function showQualityAsOld() {
  for (const id of ["light", "measured"]) elements[id].classList.add("stale");
}

export function showQuality(snapshot) {
  const { quality } = snapshot;
  const [inputs, sinks] = [inputsOf(snapshot), sinksOf(snapshot)];
  const layers = layerChoices(inputs, quality.asked?.layer);
  for (const id of ["cap", "keyframe"]) elements[id].disabled = false;
  elements.layer.disabled = layers.length === 1;
  if (pending === 0) showAsked(quality.asked ?? {}, layers);
  showLight(lightView(quality));
  showMeasured(quality.measured);
  setText("limit-words", limitWords(quality, sinks));
  setText("quality-news", qualityNews(quality, sinks));
}

async function settle(work) {
  pending += 1;
  const trouble = await work;
  pending -= 1;
  setText("quality-trouble", trouble);
}

function showAsked({ max_video_bitrate: cap, layer = "auto" }, layers) {
  fill(elements.cap, capChoices(cap), cap ? String(cap) : "");
  fill(elements.layer, layers, layer);
}

/** Options are made anew only when they are others: a list that is open would close. */
function fill(select, choices, value) {
  const present = [...select.options].map((option) => [option.value, option.text]);
  if (JSON.stringify(present) !== JSON.stringify(choices)) {
    select.replaceChildren(...choices.map(([each, words]) => new Option(words, each)));
  }
  if (select.value !== value) select.value = value;
}

function showLight({ color, headline, reasons }) {
  for (const id of ["light", "measured"]) elements[id].classList.remove("stale");
  elements.light.dataset.color = color;
  setText("light-words", headline);
  setText("light-reasons", reasons);
}

function showMeasured(measured) {
  for (const [part, words] of Object.entries(measuredWords(measured))) {
    const place = elements.measured.querySelector(`[data-part="${part}"]`);
    if (place.textContent !== words) place.textContent = words;
  }
}
