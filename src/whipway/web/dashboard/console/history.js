// What became of a stream so far: each change of its state, the latest first.

import { h, setText } from "./elements.js";
import { panel, Rows } from "./panel.js";
import { endWords, momentWords, stateWord } from "./state_words.js";

const SHOWN = 100; // The server keeps no more.
const FAILED = "The history could not be read.";

export class HistoryPanel {
  #desk;
  #hint = h("p", { class: "hint" });
  #list = h("ol", { class: "history", role: "list" });
  #rows = new Rows(this.#list, () => makeRow());
  #seen = ""; // Of the stream, when it was asked last.

  constructor(desk) {
    this.#desk = desk;
    const named = { role: "group", "aria-labelledby": "history-title" };
    const room = h("div", { class: "history-room", tabindex: "0", ...named }, this.#list);
    this.element = panel("history", "History", [], this.#hint, room);
  }

  show({ stream }) {
    const { state, live_at: liveAt, ended_at: endedAt, locked_at: lockedAt } = stream;
    const seen = JSON.stringify([state, liveAt, endedAt, lockedAt]);
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#fetch();
  }

  async #fetch() {
    try {
      const { items } = await this.#desk.api.get(`${this.#desk.path}/changes`);
      this.#take(items);
      setText(this.#hint, "");
    } catch {
      this.#seen = ""; // With the next word from the server it is tried again.
      if (!this.#desk.signal.aborted) setText(this.#hint, FAILED);
    }
  }

  #take(items) {
    const latest = items.slice(-SHOWN).reverse();
    const rows = this.#rows.keep(latest.map(({ at }, place) => `${at} ${latest.length - place}`));
    rows.forEach((row, place) => row.show(latest[place]));
  }
}

function makeRow() {
  const [time, what, why] = [h("time", {}), h("span", { class: "history-state" }), h("span", { class: "detail" })];
  const element = h("li", {}, what, why, time);
  return {
    element,
    show({ state, at, reason }) {
      element.dataset.state = state;
      time.setAttribute("datetime", at);
      setText(time, momentWords(at));
      setText(what, stateWord(state));
      setText(why, state === "ended" ? endWords(reason) : "");
    },
  };
}
