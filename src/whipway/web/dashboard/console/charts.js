// The last ten minutes as charts, over one and the same time: whoever points at one of them reads all of them at
// that moment. Figures come from the server every few seconds, while the page can be seen.

import { Chart } from "./chart.js";
import { CHARTS } from "./chart_kinds.js";
import { ChartTable } from "./chart_table.js";
import { h } from "./elements.js";
import { panel } from "./panel.js";

const PAUSE_MS = 5_000; // There are new figures so often.
const EMPTY = "Charts of the last ten minutes appear here once the stream is live.";

export class ChartsPanel {
  #desk;
  #charts = CHARTS.map((kind) => new Chart(kind, (at) => this.#point(at)));
  #hint = h("p", { class: "hint" }, EMPTY);
  #grid = h("div", { class: "charts", hidden: true }, this.#charts.map(({ element }) => element));
  #table = new ChartTable();
  #timer = 0;
  #isLive = false;

  constructor(desk) {
    this.#desk = desk;
    this.element = panel("charts", "The last ten minutes", [], this.#hint, this.#grid, this.#table.element);
    const sizes = new ResizeObserver(() => this.#charts.forEach((chart) => chart.draw()));
    sizes.observe(this.#grid);
    document.addEventListener("visibilitychange", () => this.#wake(), { signal: desk.signal });
    desk.signal.addEventListener("abort", () => {
      clearTimeout(this.#timer);
      sizes.disconnect();
    });
    this.#wake();
  }

  show({ stream }) {
    // While a WHIP publisher is there, every chart will be filled soon: their places are kept.
    const isWhip = stream.publisher?.kind === "whip";
    for (const chart of this.#charts) chart.hideEmpty(isWhip);
    const wasLive = this.#isLive;
    this.#isLive = stream.state === "live";
    if (this.#isLive !== wasLive) this.#wake();
  }

  async #wake() {
    clearTimeout(this.#timer);
    if (document.hidden || this.#desk.signal.aborted) return;
    // First, so that whoever wakes it meanwhile finds a timer to clear.
    this.#timer = setTimeout(() => this.#wake(), PAUSE_MS);
    const figures = await this.#fetch();
    if (figures && !this.#desk.signal.aborted) this.#take(figures);
  }

  async #fetch() {
    try {
      return await this.#desk.api.get(`${this.#desk.path}/figures`);
    } catch {
      return null; // The page says elsewhere that there is no word from the server.
    }
  }

  #take({ interval, points }) {
    const timed = points.map((point) => ({ ...point, at: Date.parse(point.at) }));
    const isEmpty = timed.length === 0;
    this.#hint.hidden = !isEmpty;
    this.#grid.hidden = this.#table.element.hidden = isEmpty;
    if (isEmpty) return;
    const end = this.#endOf(timed);
    for (const chart of this.#charts) chart.take(timed, interval * 1000, end);
    this.#table.take(timed, end);
  }

  /** Now, by the server's clock: ours may be another. While it is live, the newest point is of now. */
  #endOf(points) {
    const newest = points.at(-1).at;
    if (!this.#isLive) return Math.max(newest, this.#desk.clock.now());
    this.#desk.clock.note(newest);
    return newest;
  }

  #point(at) {
    for (const chart of this.#charts) chart.point(at);
  }
}
