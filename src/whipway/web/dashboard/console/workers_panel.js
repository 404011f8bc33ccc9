// The media workers: what carries the streams, how busy each is, and whether one was lost.

import { h, say, setText } from "./elements.js";
import { panel, Rows } from "./panel.js";
import { runningWords, workerView } from "./worker_words.js";

const PATH = "/v1/workers";
const FIGURES = {
  sessions: "Sessions", bitrate: "Received", lag: "Loop lag", restarts: "Restarts", lost: "Sessions lost",
};
const OLD = "There is no word of the workers: what is shown here is old.";

export class WorkersPanel {
  #api;
  #signal;
  #count = h("span", { class: "workers-count" });
  #hint = h("p", { class: "hint" });
  #list = h("ul", { class: "workers", role: "list" });
  #rows = new Rows(this.#list, (id) => new WorkerRow(id));

  constructor(api, signal) {
    [this.#api, this.#signal] = [api, signal];
    this.element = panel("workers", "Media workers", [this.#count], this.#hint, this.#list);
  }

  /** Asks, and shows. What cannot be had now will be had later. */
  async refresh() {
    const items = await this.#api.get(PATH).then((answer) => answer.items, () => null);
    if (this.#signal.aborted) return;
    this.#list.classList.toggle("stale", items === null);
    setText(this.#hint, items === null ? OLD : "");
    if (items === null) return;
    setText(this.#count, runningWords(items));
    this.#rows.keep(items.map(({ id }) => id)).forEach((row, place) => row.show(items[place]));
  }
}

class WorkerRow {
  #name;
  #state = h("span", {});
  #mark = h("p", { class: "worker-state" }, h("span", { class: "lamp", "aria-hidden": "true" }), this.#state);
  #place = h("p", { class: "worker-place" });
  #level = h("div", { class: "bar-level" });
  #bar;
  #cpu = h("p", { class: "worker-cpu", "aria-hidden": "true" });
  #figures = Object.fromEntries(Object.keys(FIGURES).map((key) => [key, h("dd", {})]));

  constructor(id) {
    this.#name = `Worker ${id}`;
    const range = { "aria-valuemin": 0, "aria-valuemax": 100 };
    this.#bar = h("div", { class: "bar", role: "meter", "aria-label": `CPU of worker ${id}`, ...range }, this.#level);
    const figures = Object.entries(FIGURES).map(([key, words]) => {
      return h("div", { class: `figure-${key}` }, h("dt", {}, words), this.#figures[key]);
    });
    this.element = h("li", { class: "worker" },
      h("div", { class: "worker-head" }, h("h3", {}, this.#name), this.#mark), this.#place,
      h("div", { class: "worker-load" }, h("p", { "aria-hidden": "true" }, "CPU"), this.#bar, this.#cpu),
      h("dl", { class: "worker-figures" }, figures));
  }

  show(worker) {
    const { standing, state, place, cpu, level, figures } = workerView(worker);
    const before = this.#state.textContent;
    if (before && before !== state) say(`${this.#name}: ${state}`);
    this.element.dataset.standing = standing;
    setText(this.#state, state);
    setText(this.#place, place);
    setText(this.#cpu, cpu);
    for (const [key, element] of Object.entries(this.#figures)) setText(element, figures[key]);
    const percent = Math.min(worker.cpu_percent ?? 0, 100);
    this.#bar.dataset.level = level;
    this.#bar.setAttribute("aria-valuenow", String(Math.round(percent)));
    this.#bar.setAttribute("aria-valuetext", worker.cpu_percent === null ? "Not known" : cpu);
    this.#level.style.transform = `scaleX(${percent / 100})`;
  }
}
