// All streams, filtered and in pages. What is looked for stands in the page's address.

import { text } from "../shared/words.js";
import { h, replace, setText } from "./elements.js";
import { gathered } from "./events.js";
import { Rows } from "./panel.js";
import { canEdit } from "./rights.js";
import { StreamRow } from "./stream_row.js";
import { listOf, pageOf, readQuery, SIZES, STATES } from "./stream_query.js";
import { stateWord } from "./state_words.js";
import { makeTable } from "./table.js";
import { TagField } from "./tag_field.js";
import { troubleWords } from "./trouble.js";

const COLUMNS = ["Name", "State", "Tags", "Last change"];
const TYPING_MS = 250;
const PAUSE_MS = 1_000; // Between two looks at the list, however much happens.
const TICK_MS = 30_000; // "5 min ago" grows older.

export async function mount(root, { query, api, events, me, note, signal }) {
  const view = new StreamsView({ api, me, note, signal }, readQuery(query));
  replace(root, view.element);
  const refresh = gathered(() => view.load(), PAUSE_MS, signal);
  events.listen(({ type, data }) => {
    if (type.startsWith("stream.")) view.change(data.stream);
    if (type === "hello" || type.startsWith("stream.")) refresh();
  }, signal);
  const timer = setInterval(() => view.tick(), TICK_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
  await view.load();
}

class StreamsView {
  #api;
  #note;
  #signal;
  #wanted;
  #asked = 0; // So many times: only the last answer counts.
  #typing = 0;
  #table;
  #body;
  #rows;
  #nothing = h("p", { class: "nothing", hidden: true });
  #trouble = h("p", { class: "detail warnings", role: "status" });
  #words = h("p", { class: "pager-words", role: "status" });
  #previous = h("button", { class: "button small", type: "button", onclick: () => this.#turn(-1) }, "Previous");
  #next = h("button", { class: "button small", type: "button", onclick: () => this.#turn(1) }, "Next");
  #size = h("select", { id: "size", onchange: () => this.#want({ size: Number(this.#size.value), page: 1 }) },
    SIZES.map((size) => h("option", { value: size }, size)));
  #name = h("input", {
    id: "name", type: "search", maxlength: "512", spellcheck: "false", autocapitalize: "none", autocomplete: "off",
    oninput: () => this.#onTyping(),
  });
  #tags;
  #states;

  constructor({ api, me, note, signal }, wanted) {
    [this.#api, this.#note, this.#signal, this.#wanted] = [api, note, signal, wanted];
    ({ table: this.#table, body: this.#body } = makeTable({ "aria-label": "Streams" }, COLUMNS));
    this.#rows = new Rows(this.#body, (id) => new StreamRow(id, (tag) => this.#addTag(tag)));
    const onChange = (tags) => this.#want({ tags, page: 1 });
    this.#tags = new TagField(api, { id: "tag", label: "With the tag", action: "Add", onChange });
    const onStates = () => this.#onStates();
    this.#states = STATES.map((state) => h("input", { type: "checkbox", value: state, onchange: onStates }));
    const create = canEdit(me) ? h("a", { class: "button primary", href: "/create" }, "Create a stream") : null;
    this.element = h("div", { class: "stack-wide" },
      h("div", { class: "view-head" }, h("h1", {}, "Streams"), create), this.#filters(), this.#trouble,
      h("div", { class: "panel table-room" }, this.#table, this.#nothing), this.#pager());
    this.#showWanted();
  }

  /** What cannot be had is said, and what was there stays. */
  async load() {
    const asked = ++this.#asked;
    const isLast = () => asked === this.#asked && !this.#signal.aborted;
    this.#table.classList.add("is-busy");
    try {
      const { items, total } = await this.#api.get(listOf(this.#wanted));
      if (!isLast()) return undefined;
      const pages = Math.max(1, Math.ceil(total / this.#wanted.size));
      // Streams were deleted meanwhile, or somebody wrote the address by hand.
      if (this.#wanted.page > pages) return this.#want({ page: pages }, { replace: true });
      this.#show(items, total);
    } catch (error) {
      if (isLast()) setText(this.#trouble, troubleWords(error));
    } finally {
      if (isLast()) this.#table.classList.remove("is-busy");
    }
    return undefined;
  }

  /** One of them is another now; whether it still belongs here, the next look at the list will tell. */
  change(stream) {
    this.#rows.get(stream.id)?.show(stream, this.#api.clock);
  }

  tick() {
    for (const { dataset } of this.#body.children) this.#rows.get(dataset.id).tick(this.#api.clock);
  }

  #show(items, total) {
    const { size, page } = this.#wanted;
    const rows = this.#rows.keep(items.map(({ id }) => id));
    rows.forEach((row, place) => row.show(items[place], this.#api.clock));
    setText(this.#trouble, "");
    this.#table.hidden = items.length === 0;
    this.#nothing.hidden = items.length > 0;
    setText(this.#nothing, this.#isFiltered() ? "No stream is like that." : "There are no streams yet.");
    const first = (page - 1) * size;
    const [from, to, all] = [first + 1, first + items.length, total].map((number) => number.toLocaleString());
    const range = total > size ? `${from} to ${to} of ` : "";
    setText(this.#words, `${range}${all} ${total === 1 ? "stream" : "streams"}`);
    switchButton(this.#previous, page > 1, this.#next);
    switchButton(this.#next, first + size < total, this.#previous);
  }

  #isFiltered() {
    const { states, tags, name } = this.#wanted;
    return states.length > 0 || tags.length > 0 || name !== "";
  }

  /** Another list is wanted: its address, its controls, and itself. */
  #want(changes, options) {
    this.#wanted = { ...this.#wanted, ...changes };
    this.#note(pageOf(this.#wanted), options);
    this.#showWanted();
    return this.load();
  }

  #showWanted() {
    const { states, tags, name, size } = this.#wanted;
    for (const box of this.#states) box.checked = states.includes(box.value);
    this.#tags.tags = tags;
    if (text(this.#name.value) !== name) this.#name.value = name;
    this.#size.value = size;
  }

  #turn(by) {
    scrollTo(0, 0);
    this.#want({ page: this.#wanted.page + by });
  }

  #onStates() {
    const states = this.#states.filter(({ checked }) => checked).map(({ value }) => value);
    this.#want({ states, page: 1 });
  }

  #onTyping() {
    clearTimeout(this.#typing);
    // No way back for each letter.
    this.#typing = setTimeout(() => this.#want({ name: text(this.#name.value), page: 1 }, { replace: true }), TYPING_MS);
  }

  #addTag(tag) {
    const { tags } = this.#wanted;
    if (!tags.includes(tag)) this.#want({ tags: [...tags, tag], page: 1 });
  }

  #filters() {
    const chips = this.#states.map((box) => {
      return h("label", { class: "chip" }, box, h("span", {}, stateWord(box.value)));
    });
    return h("div", { class: "filters", role: "search", "aria-label": "Filter the streams" },
      h("fieldset", { class: "chips" }, h("legend", {}, "State"), chips),
      h("div", { class: "field" }, h("label", { for: "name" }, "Name or id"), this.#name),
      this.#tags.element);
  }

  #pager() {
    return h("nav", { class: "pager", "aria-label": "Pages" }, this.#words,
      h("div", { class: "pager-controls" },
        h("label", {}, "On a page", this.#size), h("div", { class: "ways" }, this.#previous, this.#next)));
  }
}

/** A button that is switched off would take the keyboard's place in the page with it. */
function switchButton(button, isOn, other) {
  const hadFocus = document.activeElement === button;
  button.disabled = !isOn;
  if (!hadFocus || isOn) return;
  other.disabled = false;
  other.focus();
}
