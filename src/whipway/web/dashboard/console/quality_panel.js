// The quality of what comes by WHIP: how it fares, what holds it down, and what can be asked for: an upper limit,
// a layer, how targets that are too slow are treated, a key frame. A choice that is on its way to the server is
// left alone until it has answered; then what the server says is shown.

import { inputsOf } from "../shared/input_wording.js";
import { layerChoices, lightView, limitWords, measuredWords, qualityNews } from "../shared/quality_wording.js";
import { sinksOf } from "../shared/sink_wording.js";
import { bitrateWords } from "../shared/words.js";
import { h, setText } from "./elements.js";
import { field, fillOptions, panel } from "./panel.js";

const CAPS = [
  100e3, 150e3, 200e3, 300e3, 400e3, 500e3, 650e3, 800e3, 1e6, 1.2e6, 1.5e6, 2e6, 2.5e6, 3e6, 4e6, 5e6, 6e6, 8e6, 10e6,
]; // Bit/s; one step to the right of them there is no limit.
const POLICIES = [
  ["follow-slowest", "Follow the slowest target"],
  ["follow-primary", "Follow the first target"],
  ["off", "Follow none: drop pictures"],
];
const FIGURES = {
  interval: "Key frame every", keyframes: "Key frames asked", repaired: "Repaired packets", jitter: "Jitter",
  delay: "Longest delay", ratio: "Media per time",
};
const SEND_AFTER_MS = 300; // The keyboard moves the slider step by step.
const ASKED_MS = 3_000;
const HINTS = {
  off: "Figures and a traffic light appear here once the stream is live.",
  rtmp: "An RTMP publisher sets its quality itself: change it in its encoder.",
  look: "Your role may look, but not change the quality.",
};
const UNHEARD = " The publisher did not agree to be told: it sends as it is set.";

export class QualityPanel {
  #desk;
  #caps = CAPS;
  #pending = 0; // Requests on their way, and those that wait for the slider to rest.
  #timer = 0;
  #light = h("div", { class: "light" });
  #lightWords = h("p", { class: "light-words" });
  #lightReasons = h("p", { class: "detail" });
  #cap = h("input", { type: "range", id: "cap", min: "0", max: CAPS.length, "aria-describedby": "limit-words" });
  #capWords = h("output", { for: "cap", class: "slider-value" });
  #layer = h("select", {});
  #policy = h("select", {});
  #keyframe = h("button", { class: "button small", type: "button" }, "Key frame now");
  #hint = h("p", { class: "hint" }, HINTS.off);
  #body = h("div", { class: "stack", hidden: true });
  #limit = h("p", { class: "hint", id: "limit-words" });
  #trouble = h("p", { class: "detail warnings", role: "status" });
  #figures = Object.fromEntries(Object.keys(FIGURES).map((key) => [key, h("dd", {}, "–")]));

  constructor(desk) {
    this.#desk = desk;
    const lamp = h("span", { class: "lamp", "aria-hidden": "true" });
    this.#light.append(lamp, h("div", {}, this.#lightWords, this.#lightReasons));
    const figures = Object.entries(FIGURES).map(([key, words]) => h("div", {}, h("dt", {}, words), this.#figures[key]));
    const slider = h("div", { class: "slider" }, this.#cap, this.#capWords);
    this.#body.append(this.#light,
      h("div", { class: "field" }, h("label", { for: "cap" }, "Upper limit of the video"), slider),
      this.#limit,
      h("div", { class: "pair" },
        field("layer", "Layer on air", this.#layer), field("policy", "When a target is too slow", this.#policy)),
      this.#trouble,
      h("dl", { class: "measured" }, ...figures));
    this.element = panel("quality", "Quality", [this.#keyframe], this.#hint, this.#body);
    this.#bind();
  }

  show({ session, rtmp }) {
    const quality = session?.snapshot.quality;
    this.#body.hidden = !quality;
    this.#keyframe.hidden = !quality || !this.#desk.canEdit;
    setText(this.#hint, quality ? "" : HINTS[rtmp ? "rtmp" : "off"]);
    if (quality) this.#showQuality(quality, session.snapshot);
  }

  #showQuality(quality, snapshot) {
    for (const control of [this.#cap, this.#policy]) control.disabled = !this.#desk.canEdit;
    const layers = layerChoices(inputsOf(snapshot), quality.asked?.layer);
    this.#layer.disabled = !this.#desk.canEdit || layers.length === 1;
    if (this.#pending === 0) this.#showAsked(quality.asked ?? {}, layers);
    this.#showLight(lightView(quality));
    setText(this.#limit, this.#limitWords(snapshot));
    const measured = measuredWords(quality.measured);
    for (const [key, place] of Object.entries(this.#figures)) setText(place, measured[key]);
    this.#desk.tell("quality", qualityNews({ limited_by: quality.limited_by }, sinksOf(snapshot)));
  }

  #bind() {
    this.#cap.addEventListener("input", () => this.#slide());
    this.#layer.addEventListener("change", () => this.#put({ layer: this.#layer.value }));
    this.#policy.addEventListener("change", () => this.#put({ policy: this.#policy.value }));
    this.#keyframe.addEventListener("click", () => this.#askKeyframe());
  }

  /** What the slider says is sent once it has come to rest. */
  #slide() {
    if (this.#timer) clearTimeout(this.#timer);
    else this.#pending += 1;
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#pending -= 1;
      this.#put({ max_video_bitrate: this.#caps[Number(this.#cap.value)] ?? null });
    }, SEND_AFTER_MS);
    this.#sayCap();
  }

  async #put(values) {
    this.#pending += 1;
    await this.#desk.ask(this.#trouble, () => this.#desk.api.put(`${this.#desk.session}/quality`, values));
    this.#pending -= 1;
  }

  async #askKeyframe() {
    const isAsked = await this.#desk.ask(this.#trouble, () => this.#desk.api.post(`${this.#desk.session}/keyframe`));
    if (!isAsked) return;
    setText(this.#trouble, "The publisher was asked for a key frame.");
    setTimeout(() => setText(this.#trouble, ""), ASKED_MS);
  }

  #showAsked({ max_video_bitrate: cap, layer = "auto", policy = POLICIES[0][0] }, layers) {
    this.#caps = cap > 0 && !CAPS.includes(cap) ? [...CAPS, cap].sort((one, other) => one - other) : CAPS;
    this.#cap.max = String(this.#caps.length);
    const place = String(cap > 0 ? this.#caps.indexOf(cap) : this.#caps.length);
    if (this.#cap.value !== place) this.#cap.value = place;
    this.#sayCap();
    fillOptions(this.#layer, layers, layer);
    fillOptions(this.#policy, POLICIES, policy);
  }

  #sayCap() {
    const cap = this.#caps[Number(this.#cap.value)];
    const words = cap ? bitrateWords(cap) : "No limit";
    setText(this.#capWords, words);
    this.#cap.setAttribute("aria-valuetext", words);
  }

  #showLight({ color, headline, reasons }) {
    this.#light.dataset.color = color;
    setText(this.#lightWords, headline);
    setText(this.#lightReasons, reasons);
  }

  #limitWords(snapshot) {
    const words = limitWords({ ...snapshot.quality, is_heard: true }, sinksOf(snapshot));
    const unheard = snapshot.quality.is_heard === false ? UNHEARD : "";
    return this.#desk.canEdit ? words + unheard : `${words}${unheard} ${HINTS.look}`;
  }
}
