// What the charts show, as a table: the means of each minute, the latest first.

import { CHARTS, MINUTE_MS, SPAN_MS, timeWords } from "./chart_kinds.js";
import { summaryOf } from "./chart_scale.js";
import { h, setText } from "./elements.js";

const TITLE = "Means of each minute";
const UNKNOWN = "–";

export class ChartTable {
  #body = h("tbody");

  constructor() {
    const heads = ["Until", ...CHARTS.map(({ title }) => title)].map((words) => h("th", { scope: "col" }, words));
    const table = h("table", {},
      h("caption", { class: "visually-hidden" }, `${TITLE}, the latest first`),
      h("thead", {}, h("tr", {}, heads)),
      this.#body);
    // On a narrow screen it is moved sideways, also by the keyboard.
    const room = h("div", { class: "chart-table-room", tabindex: "0", role: "group", "aria-label": TITLE }, table);
    this.element = h("details", { class: "chart-table", hidden: true }, h("summary", {}, "The same as a table"), room);
  }

  /** Times in ms; `end`: of the last minute. */
  take(points, end) {
    const rows = rowsOf(points, end);
    while (this.#body.rows.length > rows.length) this.#body.deleteRow(-1);
    rows.forEach((row, place) => {
      const line = this.#body.rows[place] ?? this.#addLine();
      row.forEach((words, index) => setText(line.cells[index], words));
    });
  }

  #addLine() {
    return this.#body.appendChild(h("tr", {}, h("th", { scope: "row" }), CHARTS.map(() => h("td"))));
  }
}

function rowsOf(points, end) {
  const rows = [];
  for (let until = end; until > end - SPAN_MS; until -= MINUTE_MS) {
    const part = points.filter(({ at }) => at > until - MINUTE_MS && at <= until);
    if (part.length > 0) rows.push([timeWords(part.at(-1).at), ...CHARTS.map((kind) => meanWords(kind, part))]);
  }
  return rows;
}

function meanWords({ key, words }, part) {
  const summary = summaryOf(part.map((point) => ({ value: point[key] })));
  return summary ? words(summary.mean) : UNKNOWN;
}
