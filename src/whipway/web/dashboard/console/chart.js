// One line over the last ten minutes, with its latest value beside its title, and its summary in words for those
// who cannot see it. Drawn anew with each change: a hundred points are drawn in less than a millisecond.

import { MINUTE_MS, SPAN_MS, timeWords } from "./chart_kinds.js";
import { axisOf, nearestTo, partsOf, summaryOf } from "./chart_scale.js";
import { h, setText, svg } from "./elements.js";

const MARKS = [[SPAN_MS, "start"], [SPAN_MS / 2, "middle"], [0, "end"]]; // At the time axis: how long ago.
const NEAR = 1.5; // Times the interval: what is farther from the moment that is asked for says nothing of it.
const HEIGHT = 116; // All of these in pixels.
const MARGIN = { top: 8, right: 1, bottom: 20, left: 1 };
const TICK_LABEL_BELOW = 12;
const TIME_LABEL_ABOVE = 4;
const LONE_RADIUS = 1.5;
const POINTED_RADIUS = 3.5;
const UNKNOWN = "–";

export class Chart {
  #kind;
  #points = [];
  #interval = 1000;
  #end = 0;
  #top = 0;
  #width = 0;
  #pointed = null; // A moment, in ms.
  #value = h("p", { class: "chart-value" }, UNKNOWN);
  #when = h("p", { class: "chart-when", "aria-hidden": "true" });
  #summary = h("p", { class: "visually-hidden" });
  #svg = svg("svg", { class: "chart-plot", height: HEIGHT, "aria-hidden": "true", focusable: "false" });

  /** `kind`: one of CHARTS. `tell(at)`: somebody points at that moment, or (null) at none. */
  constructor(kind, tell) {
    this.#kind = kind;
    const head = h("div", { class: "chart-head" }, h("h3", {}, kind.title), this.#when, this.#value);
    this.element = h("div", { class: kind.isWide ? "chart wide" : "chart" }, head, this.#svg, this.#summary);
    this.#svg.addEventListener("pointermove", (event) => tell(this.#momentAt(event)));
    this.#svg.addEventListener("pointerleave", () => tell(null));
  }

  /** Times in ms; `end`: of the chart. */
  take(points, interval, end) {
    this.#points = points.map((point) => ({ at: point.at, value: point[this.#kind.key] }));
    [this.#interval, this.#end] = [interval, end];
    setText(this.#summary, this.#summaryWords());
    this.draw();
  }

  /** Has no place where it would stay empty: of RTMP, unless there was a WHIP publisher in the last minutes. */
  hideEmpty(isWhip) {
    this.element.hidden = Boolean(this.#kind.isOfWhip) && !isWhip && summaryOf(this.#points) === null;
  }

  /** Shows what it was at a moment; null: what it is now. */
  point(at) {
    this.#pointed = at;
    this.draw();
  }

  draw() {
    this.#width = this.#svg.clientWidth;
    if (this.#width === 0) return;
    this.#chooseTop();
    this.#svg.setAttribute("viewBox", `0 0 ${this.#width} ${HEIGHT}`);
    const parts = partsOf(this.#points, this.#interval);
    this.#svg.replaceChildren(...this.#scale(), ...parts.flatMap((part) => this.#line(part)), ...this.#cross());
  }

  /** The axis stays as it is unless the line leaves it, or keeps to its lower half. */
  #chooseTop() {
    const wanted = Math.max(summaryOf(this.#points)?.most ?? 0, this.#kind.least);
    if (wanted > this.#top || wanted < this.#top / 2) this.#top = axisOf(wanted).top;
  }

  #scale() {
    const { words, tight } = this.#kind;
    const { ticks } = axisOf(this.#top);
    // Every other one from the top, so that their words have room.
    const shown = ticks.filter((tick, index) => index > 0 && (ticks.length - 1 - index) % 2 === 0);
    return [
      ...[0, ...shown].map((tick) => this.#level(tick, "chart-grid")),
      ...(tight < this.#top ? [this.#level(tight, "chart-tight")] : []),
      ...shown.map((tick) => label(words(tick), MARGIN.left, this.#y(tick) + TICK_LABEL_BELOW, "start")),
      ...MARKS.map(([ago, anchor]) => {
        const when = ago === 0 ? "now" : `${ago / MINUTE_MS} min ago`;
        return label(when, this.#x(this.#end - ago), HEIGHT - TIME_LABEL_ABOVE, anchor);
      }),
    ];
  }

  #level(value, name) {
    const y = this.#y(value);
    return svg("line", { class: name, x1: MARGIN.left, x2: this.#width - MARGIN.right, y1: y, y2: y });
  }

  #line(part) {
    const [first, last] = [this.#x(part[0].at), this.#x(part.at(-1).at)];
    if (part.length === 1) return [dot(first, this.#y(part[0].value), LONE_RADIUS)];
    const places = part.map(({ at, value }) => `${this.#x(at).toFixed(1)},${this.#y(value).toFixed(1)}`).join("L");
    const base = this.#y(0);
    return [
      svg("path", { class: "chart-area", d: `M${first},${base}L${places}L${last},${base}Z` }),
      svg("path", { class: "chart-line", d: `M${places}` }),
    ];
  }

  /** What is pointed at, or else what is now. */
  #cross() {
    const isPointed = this.#pointed !== null;
    const found = nearestTo(this.#points, this.#pointed ?? this.#end, this.#interval * NEAR);
    const at = found?.at ?? this.#pointed;
    setText(this.#value, found ? this.#kind.words(found.value) : UNKNOWN);
    setText(this.#when, isPointed ? timeWords(at) : "");
    if (!isPointed) return [];
    const x = this.#x(at);
    const line = svg("line", { class: "chart-cross", x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom });
    return found ? [line, dot(x, this.#y(found.value), POINTED_RADIUS)] : [line];
  }

  #summaryWords() {
    const { title, words } = this.#kind;
    const summary = summaryOf(this.#points);
    if (!summary) return `${title}: nothing is known.`;
    const [now, least, most, mean] = [summary.now, summary.least, summary.most, summary.mean].map(words);
    return `${title}: last ${now}, from ${least} to ${most}, mean ${mean}.`;
  }

  #x(at) {
    return MARGIN.left + within(1 - (this.#end - at) / SPAN_MS) * (this.#width - MARGIN.left - MARGIN.right);
  }

  #y(value) {
    return MARGIN.top + (HEIGHT - MARGIN.top - MARGIN.bottom) * (1 - within(value / this.#top));
  }

  #momentAt({ clientX }) {
    const { left, width } = this.#svg.getBoundingClientRect();
    const share = within((clientX - left - MARGIN.left) / (width - MARGIN.left - MARGIN.right));
    return this.#end - SPAN_MS * (1 - share);
  }
}

/** From 0 to 1. */
function within(share) {
  return Math.min(Math.max(share, 0), 1);
}

function dot(x, y, radius) {
  return svg("circle", { class: "chart-dot", cx: x, cy: y, r: radius });
}

function label(words, x, y, anchor) {
  return svg("text", { class: "chart-label", x, y, "text-anchor": anchor }, words);
}
