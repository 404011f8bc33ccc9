// The top of the page: how the stream stands, in one glance. The picture, the state in one word, for how long, a
// traffic light over all there is to judge, and the figures that count.

import { measuredWords } from "../shared/quality_wording.js";
import { bitrateWords, durationWords } from "../shared/words.js";
import { h, setText } from "./elements.js";
import { Preview } from "./preview.js";
import { agoWords, stateView } from "./state_words.js";

const LAMPS = ["red", "yellow", "green"];
const FIGURES = { video: "Video", sound: "Sound", picture: "Picture", loss: "Packet loss", trip: "Round trip" };
const UNKNOWN = "–";
const TICK_MS = 1000;

export class Hero {
  #desk;
  #preview;
  #word = h("span", { class: "tally-word" }, "…");
  #since = h("span", { class: "tally-since" });
  #dot = h("span", { class: "tally-dot", "aria-hidden": "true" });
  #tally = h("p", { class: "tally" }, this.#dot, this.#word, this.#since);
  #detail = h("p", { class: "detail hero-detail" });
  #verdictWords = h("p", { class: "verdict-words" });
  #verdictDetail = h("p", { class: "detail" });
  #verdict = h("div", { class: "verdict" },
    h("div", { class: "traffic-light", "aria-hidden": "true" }, ...LAMPS.map((color) => h("span", { class: color }))),
    h("div", {}, this.#verdictWords, this.#verdictDetail));
  #figures = Object.fromEntries(Object.keys(FIGURES).map((key) => [key, h("dd", {}, UNKNOWN)]));
  #stream = null;

  constructor(desk) {
    this.#desk = desk;
    this.#preview = new Preview(desk);
    const figures = Object.entries(FIGURES).map(([key, words]) => {
      return h("div", { class: `figure-${key}` }, h("dt", {}, words), this.#figures[key]);
    });
    this.element = h("section", { class: "panel hero", "aria-labelledby": "hero-title" },
      h("h2", { id: "hero-title", class: "visually-hidden" }, "State"),
      this.#preview.element,
      h("div", { class: "hero-words" },
        this.#tally, this.#detail, this.#verdict, h("dl", { class: "measured" }, figures)));
    const timer = setInterval(() => this.#tick(), TICK_MS);
    desk.signal.addEventListener("abort", () => clearInterval(timer));
  }

  /** `verdict`: `{color, headline}` of the `issues`. */
  show(live, verdict, issues) {
    this.#stream = live.stream;
    const { word, detail } = stateView(live.stream);
    this.#preview.show(live);
    this.#tally.dataset.state = word === "Connecting" ? "connecting" : live.stream.state;
    setText(this.#word, word);
    setText(this.#detail, detail);
    this.#showVerdict(verdict, countWords(issues));
    const measured = figuresOf(live);
    for (const [key, place] of Object.entries(this.#figures)) setText(place, measured[key]);
    this.#tick();
    this.#desk.tell("state", `The stream is ${word.toLowerCase()}.`);
  }

  /** There is no word from the server: nobody knows whether all is well. */
  showAsOld() {
    this.#showVerdict({ color: "", headline: "Not known" }, "");
  }

  #showVerdict({ color, headline }, detail) {
    this.#verdict.dataset.color = color;
    setText(this.#verdictWords, headline);
    setText(this.#verdictDetail, detail);
  }

  /** Time goes on between two words from the server. */
  #tick() {
    const since = this.#stream && stateView(this.#stream).since;
    if (!since) return setText(this.#since, "");
    const seconds = this.#desk.clock.secondsSince(since);
    setText(this.#since, this.#stream.state === "live" ? durationWords(seconds) : agoWords(seconds));
  }
}

function figuresOf({ stream, session, rtmp }) {
  if (stream.state === "live" && !session && rtmp) {
    const words = measuredWords({ ...rtmp, video_bitrate: rtmp.bitrate });
    return { ...words, video: typeof rtmp.bitrate === "number" ? bitrateWords(rtmp.bitrate) : UNKNOWN };
  }
  return measuredWords(session?.snapshot.quality?.measured);
}

function countWords(issues) {
  if (issues.length === 0) return "";
  return issues.length === 1 ? "One thing needs attention." : `${issues.length} things need attention.`;
}
