// The page of one stream. Everything on it comes from one stream of events, each of which tells all there is, and
// goes to every panel: nothing has to be loaded anew, and a panel that missed something is right with the next.

import { Actions } from "./actions.js";
import { ChartsPanel } from "./charts.js";
import { Desk } from "./desk.js";
import { DetailsPanel } from "./details_panel.js";
import { h, setText } from "./elements.js";
import { Hero } from "./hero.js";
import { HistoryPanel } from "./history.js";
import { IngestPanel } from "./ingest_panel.js";
import { InputsPanel } from "./inputs_panel.js";
import { IssuesPanel } from "./issues_panel.js";
import { QualityPanel } from "./quality_panel.js";
import { SinksPanel } from "./sinks_panel.js";
import { findIssues, verdictOf } from "./warnings.js";

const SILENCE_MS = 5_000; // The server tells something each second.
const LOOK_MS = 1_000;
const SILENT = "No word from the server: what is shown here is old. It is asked again and again.";
const GONE = "This stream was deleted, or has never been there.";

/** Shows the stream `params.id` in `root` until `signal` aborts. */
export async function mount(root, { params, navigate, api, me, signal }) {
  const page = new StreamPage(new Desk({ api, me, signal, navigate }, params.id));
  root.replaceChildren(page.element);
  await page.open();
}

class StreamPage {
  #desk;
  #title = h("h1", { class: "stream-name", tabindex: "-1" }, "Stream");
  #silent = h("p", { class: "banner", role: "status" });
  #actions;
  #hero;
  #issues;
  #panels;
  #body;
  #heardAt = performance.now();

  constructor(desk) {
    this.#desk = desk;
    [this.#actions, this.#hero, this.#issues] = [new Actions(desk), new Hero(desk), new IssuesPanel(desk)];
    const main = [InputsPanel, ChartsPanel, QualityPanel, SinksPanel, HistoryPanel].map((Panel) => new Panel(desk));
    const side = [IngestPanel, DetailsPanel].map((Panel) => new Panel(desk));
    this.#panels = [this.#actions, ...main, ...side];
    const column = (name, panels) => h("div", { class: `column ${name}` }, panels.map(({ element }) => element));
    this.#body = h("div", { class: "stream-layout" },
      this.#hero.element, this.#issues.element, column("main-column", main), column("side-column", side));
    const way = h("nav", { class: "way", "aria-label": "Way here" },
      h("a", { href: "/streams" }, "Streams"), h("span", { "aria-hidden": "true" }, "/"));
    this.element = h("div", { class: "stream-page" },
      h("header", { class: "stream-head" }, h("div", {}, way, this.#title), this.#actions.element),
      this.#silent, this.#body);
  }

  /** Asks for the stream once, so that one that is not there is told of at once, and follows it from then on. */
  async open() {
    const { api, path, signal } = this.#desk;
    const timer = setInterval(() => this.#look(), LOOK_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    // A page that nobody sees hears nothing (see Api.events).
    document.addEventListener("visibilitychange", () => { this.#heardAt = performance.now(); }, { signal });
    try {
      this.#showTitle(await api.get(path));
    } catch (error) {
      if (error.status === 404) return this.#showGone();
    }
    if (!signal.aborted) api.events(`${path}/live`, (event) => this.#hear(event), signal);
  }

  #hear({ type, data }) {
    if (type === "gone") this.#showGone();
    if (type !== "status") return;
    this.#heardAt = performance.now();
    this.#show(data);
  }

  /** `live`: `{stream, session, rtmp}`. */
  #show(live) {
    const issues = findIssues(live);
    const verdict = verdictOf(live, issues);
    this.#desk.session = live.session ? `/v1/sessions/${encodeURIComponent(live.session.id)}` : "";
    this.#showTitle(live.stream);
    this.#hero.show(live, verdict, issues);
    this.#issues.show(live, issues, verdict);
    for (const panel of this.#panels) panel.show(live);
    this.#body.dataset.live = live.stream.state === "live" ? "yes" : "no";
    this.#body.classList.remove("stale");
    setText(this.#silent, "");
  }

  #showTitle({ name }) {
    setText(this.#title, name);
    document.title = `${name} · Whipway`;
  }

  #look() {
    if (document.hidden || performance.now() - this.#heardAt < SILENCE_MS) return;
    this.#body.classList.add("stale");
    this.#hero.showAsOld();
    setText(this.#silent, SILENT);
  }

  #showGone() {
    this.#desk.close();
    const link = h("a", { class: "button", href: "/streams" }, "All streams");
    const words = h("p", { role: "status" }, GONE);
    this.element.replaceChildren(h("section", { class: "panel gone" }, this.#title, words, h("p", {}, link)));
    this.#title.focus({ preventScroll: true });
  }
}
