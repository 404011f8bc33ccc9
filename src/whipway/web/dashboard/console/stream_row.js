// A stream in the list of all.

import { h, replace, setText } from "./elements.js";
import { stateMark } from "./state_mark.js";
import { cell, rowHead, tableRow } from "./table.js";
import { timeMark } from "./times.js";

export class StreamRow {
  #onTag;
  #link;
  #state = cell({ class: "first" });
  #tags = cell({});
  #time = cell({});
  #stream = null;

  /** `onTag(tag)`: the person wants to see what has this tag. */
  constructor(id, onTag) {
    this.#onTag = onTag;
    this.#link = h("a", { href: `/streams/${encodeURIComponent(id)}` });
    this.element = tableRow({ "data-id": id }, rowHead(this.#link), this.#state, this.#tags, this.#time);
  }

  show(stream, clock) {
    const before = this.#stream;
    this.#stream = stream;
    setText(this.#link, stream.name);
    if (before?.state !== stream.state) replace(this.#state, stateMark(stream.state));
    if (before?.tags.join("\n") !== stream.tags.join("\n")) this.#showTags(stream.tags);
    this.tick(clock);
  }

  /** Time goes on. */
  tick(clock) {
    replace(this.#time, timeMark(clock, this.#stream.updated_at));
  }

  #showTags(tags) {
    const buttons = tags.map((tag) => {
      const label = `Only those with the tag ${tag}`;
      const choose = () => this.#onTag(tag);
      const shown = { class: "tag tag-filter", title: tag, "aria-label": label };
      return h("button", { ...shown, type: "button", onclick: choose }, tag);
    });
    const list = h("ul", { class: "tags", role: "list" }, buttons.map((button) => h("li", {}, button)));
    replace(this.#tags, tags.length > 0 ? list : null);
  }
}
