// Who publishes by WHIP at this moment.

import { confirmed } from "./confirm.js";
import { h, replace, say, setText } from "./elements.js";
import { gathered } from "./events.js";
import { Rows } from "./panel.js";
import { canControl } from "./rights.js";
import { bitrateWords } from "../shared/words.js";
import { stateMark } from "./state_mark.js";
import { cell, makeTable, rowHead, tableRow } from "./table.js";
import { timeMark } from "./times.js";
import { troubleWords } from "./trouble.js";

const COLUMNS = ["Stream", "State", "Video and sound", "From", "Targets", "Since"];
const END_COLUMN = "(End it)"; // For who may.
const MAX_ROWS = 200;
const PAUSE_MS = 1_000; // Between two looks at the list, however much happens.
const LOOK_MS = 5_000; // What no event tells of: bitrates change, "5 min ago" grows older.

export async function mount(root, { api, events, me, signal }) {
  const view = new SessionsView(api, me, signal);
  replace(root, view.element);
  const refresh = gathered(() => view.load(), PAUSE_MS, signal);
  events.listen(({ type }) => { if (/^(hello$|session\.|sink\.)/.test(type)) refresh(); }, signal);
  const timer = setInterval(() => { if (!document.hidden) refresh(); }, LOOK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  await view.load();
}

class SessionsView {
  #api;
  #signal;
  #canEnd;
  #rows;
  #table;
  #nothing = h("p", { class: "nothing", hidden: true }, "Nobody publishes by WHIP now.");
  #words = h("p", { class: "pager-words", role: "status" });
  #trouble = h("p", { class: "detail warnings", role: "status" });

  constructor(api, me, signal) {
    [this.#api, this.#signal, this.#canEnd] = [api, signal, canControl(me)];
    const columns = this.#canEnd ? [...COLUMNS, END_COLUMN] : COLUMNS;
    const { table, body } = makeTable({ "aria-label": "Sessions" }, columns);
    this.#table = table;
    this.#rows = new Rows(body, () => new SessionRow(this.#canEnd ? (row) => this.#end(row) : null));
    this.element = h("div", { class: "stack-wide" },
      h("div", { class: "view-head" }, h("h1", {}, "Sessions"), this.#words),
      this.#trouble, h("div", { class: "panel table-room" }, this.#table, this.#nothing));
  }

  async load() {
    try {
      const { items, total } = await this.#api.get(`/v1/sessions?limit=${MAX_ROWS}`);
      if (this.#signal.aborted) return;
      const rows = this.#rows.keep(items.map(({ id }) => id));
      rows.forEach((row, place) => row.show(items[place], this.#api.clock));
      this.#table.hidden = items.length === 0;
      this.#nothing.hidden = items.length > 0;
      setText(this.#words, countWords(items.length, total ?? items.length));
      setText(this.#trouble, "");
    } catch (error) {
      if (!this.#signal.aborted) setText(this.#trouble, troubleWords(error));
    }
  }

  async #end({ session }) {
    const words = `${session.stream_name} goes off the air. Its publisher is told, and may begin again.`;
    if (!await confirmed("End this session?", words, "End it")) return;
    try {
      await this.#api.delete(`/v1/sessions/${encodeURIComponent(session.id)}`);
      say("The session has ended");
    } catch (error) {
      setText(this.#trouble, troubleWords(error));
    }
    await this.load();
  }
}

class SessionRow {
  session = null;
  #name = rowHead();
  #state = cell({ class: "first" });
  #media = cell({});
  #client = cell({ "data-label": "from" });
  #sinks = cell({ "data-label": "targets" });
  #since = cell({});

  /** `onEnd(row)`: the person wants it to end; null where they may not. */
  constructor(onEnd) {
    const button = onEnd && h("button", { class: "button small", type: "button", onclick: () => onEnd(this) }, "End");
    const last = button && cell({ class: "last" }, button);
    const cells = [this.#name, this.#state, this.#media, this.#client, this.#sinks, this.#since, last];
    this.element = tableRow({}, cells);
  }

  show(session, clock) {
    const isSame = this.session?.stream?.id === session.stream?.id && this.session?.stream_name === session.stream_name;
    if (!isSame) replace(this.#name, nameOf(session));
    if (this.session?.state !== session.state) replace(this.#state, stateMark(session.state));
    this.session = session;
    setText(this.#media, mediaWords(session));
    setText(this.#client, session.client ?? "");
    setText(this.#sinks, String(session.sinks));
    replace(this.#since, timeMark(clock, session.created_at));
  }
}

function nameOf({ stream, stream_name: name }) {
  return stream ? h("a", { href: `/streams/${encodeURIComponent(stream.id)}` }, stream.name) : h("code", {}, name);
}

/** `light`: the server's judgement; only what needs a look is said. */
function mediaWords({ state, bitrate, fps, light }) {
  if (state !== "live" || typeof bitrate !== "number") return "";
  const fair = { yellow: ", fair", red: ", poor" }[light] ?? "";
  return `${bitrateWords(bitrate)}, ${Math.round(fps ?? 0)} fps${fair}`;
}

function countWords(shown, total) {
  if (total > shown) return `The newest ${shown} of ${total.toLocaleString()}`;
  return `${total} ${total === 1 ? "session" : "sessions"}`;
}
