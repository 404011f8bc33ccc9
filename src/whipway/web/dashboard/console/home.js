// What one sees first: how many streams there are, those that are live, with their pictures, and what carries them.

import { Thumbnails } from "../shared/thumbnails.js";
import { h, replace, setText } from "./elements.js";
import { gathered } from "./events.js";
import { LiveCard } from "./live_card.js";
import { Rows } from "./panel.js";
import { canEdit } from "./rights.js";
import { WorkersPanel } from "./workers_panel.js";

const TILES = [
  { key: "live", words: "Live", path: "/streams?state=live" },
  { key: "created", words: "Created", path: "/streams?state=created" },
  { key: "ended", words: "Ended", path: "/streams?state=ended" },
  { key: "locked", words: "Locked", path: "/streams?state=locked" },
];
const MAX_CARDS = 24;
const PAUSE_MS = 500; // Between two looks at the lists, however much happens.
const FIGURES_MS = 5_000; // The server has new ones so often.
const TICK_MS = 1_000;

export async function mount(root, { api, events, me, signal }) {
  const home = new Home(api, me, signal);
  const workers = new WorkersPanel(api, signal);
  replace(root, h("div", { class: "stack-wide" }, home.element, workers.element));
  const refresh = gathered(() => home.refresh(), PAUSE_MS, signal);
  const lookAtWorkers = gathered(() => workers.refresh(), PAUSE_MS, signal); // One may keep us waiting for its answer.
  events.listen(({ type }) => {
    if (type !== "hello" && !type.startsWith("stream.")) return;
    refresh();
    lookAtWorkers();
  }, signal);
  const timer = setInterval(() => { if (!document.hidden) lookAtWorkers(); }, FIGURES_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  await Promise.all([home.load(), workers.refresh()]);
}

class Home {
  #api;
  #signal;
  #canCreate;
  #numbers = new Map();
  #list = h("ul", { class: "cards", role: "list" });
  #rows = new Rows(this.#list, (id) => new LiveCard(id));
  #empty = h("div", { class: "panel empty", hidden: true });
  #more = h("p", { class: "more" });
  #pictures;
  #seen = new Set(); // Ids of cards on the screen.
  #watching = new IntersectionObserver((entries) => this.#onSeen(entries));

  constructor(api, me, signal) {
    [this.#api, this.#signal, this.#canCreate] = [api, signal, canEdit(me)];
    this.#pictures = new Thumbnails(
      (id) => api.picture(`/v1/streams/${id}/preview`, signal), (id, url) => this.#rows.get(id)?.showPicture(url));
    const create = this.#canCreate ? h("a", { class: "button primary", href: "/create" }, "Create a stream") : null;
    this.element = h("div", { class: "stack-wide" },
      h("div", { class: "view-head" }, h("h1", {}, "Live"), create),
      h("ul", { class: "tiles", role: "list", "aria-label": "By state" }, TILES.map((tile) => this.#tile(tile))),
      h("section", { class: "stack-wide", "aria-label": "On now" }, this.#list, this.#empty, this.#more));
    const timers = [setInterval(() => this.#tick(), TICK_MS), setInterval(() => this.#fetchFigures(), FIGURES_MS)];
    signal.addEventListener("abort", () => {
      timers.forEach(clearInterval);
      this.#pictures.stop();
      this.#watching.disconnect();
    });
  }

  async load() {
    const [{ streams: counts }, { items, total }] = await Promise.all([
      this.#api.get("/v1/summary"), this.#api.get(`/v1/streams?state=live&limit=${MAX_CARDS}`),
    ]);
    if (this.#signal.aborted) return;
    for (const { key } of TILES) setText(this.#numbers.get(key), (counts[key] ?? 0).toLocaleString());
    const all = TILES.reduce((sum, { key }) => sum + (counts[key] ?? 0), 0);
    this.#showCards(items);
    this.#showEmpty(items.length === 0, all === 0);
    const more = h("a", { href: "/streams?state=live" }, `All ${total.toLocaleString()} live streams`);
    replace(this.#more, total > items.length ? more : null);
  }

  /** As `load`, of a page that is shown already: what cannot be had now will be had later. */
  async refresh() {
    await this.load().catch(() => {});
  }

  #showCards(items) {
    const cards = this.#rows.keep(items.map(({ id }) => id));
    cards.forEach((card, place) => {
      card.show(items[place]);
      this.#watching.observe(card.element);
    });
    this.#keepSeen(items.map(({ id }) => id));
    this.#tick();
  }

  #showEmpty(isEmpty, isNew) {
    this.#list.hidden = isEmpty;
    this.#empty.hidden = !isEmpty;
    if (isEmpty) replace(this.#empty, isNew ? firstWords(this.#canCreate) : nothingWords());
  }

  #tile({ key, words, path }) {
    const number = h("span", { class: "tile-number" }, "–");
    this.#numbers.set(key, number);
    return h("li", {}, h("a", { class: "tile", href: path, "data-state": key },
      h("span", { class: "tile-words" }, h("span", { class: "state-dot", "aria-hidden": "true" }), words), number));
  }

  #onSeen(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#seen.add(target.dataset.id);
      else this.#seen.delete(target.dataset.id);
    }
    this.#pictures.want([...this.#seen]);
    this.#fetchFigures(({ hasFigures }) => !hasFigures);
  }

  #keepSeen(ids) {
    for (const id of this.#seen) if (!ids.includes(id)) this.#seen.delete(id);
    this.#pictures.want([...this.#seen]);
  }

  #tick() {
    for (const { dataset } of this.#list.children) this.#rows.get(dataset.id).tick(this.#api.clock);
  }

  /** Of those cards that `isWanted` is true of, one after the other: a browser has few connections to a server. */
  async #fetchFigures(isWanted = () => true) {
    if (document.hidden) return;
    for (const id of this.#seen) {
      const card = this.#rows.get(id);
      if (!card || !isWanted(card)) continue;
      const figures = await this.#api.get(`/v1/streams/${id}/figures`).catch(() => null);
      if (this.#signal.aborted) return;
      card.showFigures(figures?.points.at(-1));
    }
  }
}

function nothingWords() {
  return [
    h("p", { class: "headline" }, "Nothing is live"),
    h("p", { class: "detail" }, "A stream appears here as soon as somebody publishes it."),
  ];
}

function firstWords(canCreate) {
  const create = h("p", {}, h("a", { class: "button primary", href: "/create" }, "Create the first stream"));
  return [
    h("p", { class: "headline" }, "No streams yet"),
    h("p", { class: "detail" }, "A stream is a name to publish to, from OBS or this browser, and to play by."),
    canCreate ? create : null,
  ];
}
