// Several tags, each with a button that takes it away, and a field for one more, completed from those in use.

import { text } from "../shared/words.js";
import { h, replace, say } from "./elements.js";

const MAX_LENGTH = "128";
const ASK_AFTER_MS = 200;

export class TagField {
  #api;
  #onChange;
  #tags = [];
  #list = h("ul", { class: "tags", role: "list", hidden: true });
  #known;
  #timer = 0;

  /** `onChange(tags)` is called when the person changes them. `id`: the field's; `hint` may be empty. */
  constructor(api, { id, label, hint = "", action, onChange = () => {} }) {
    [this.#api, this.#onChange] = [api, onChange];
    this.#known = h("datalist", { id: `${id}-known` });
    this.input = h("input", {
      id, type: "text", maxlength: MAX_LENGTH, list: `${id}-known`, autocomplete: "off", autocapitalize: "none",
      "aria-describedby": hint ? `${id}-hint` : null,
      oninput: () => this.#suggest(),
      // What is chosen from the list is meant; so is what was typed when Enter is pressed.
      onkeydown: (event) => { if (event.key === "Enter" && this.take()) event.preventDefault(); },
    });
    const onAdd = () => this.take() || this.input.focus();
    const add = h("button", { class: "button small", type: "button", onclick: onAdd }, action);
    const below = hint ? h("p", { class: "hint", id: `${id}-hint` }, hint) : null;
    this.element = h("div", { class: "field" },
      h("label", { for: id }, label), h("div", { class: "one-line" }, this.input, add), this.#known, below, this.#list);
  }

  get tags() {
    return [...this.#tags];
  }

  set tags(tags) {
    const wanted = [...new Set(tags)];
    if (JSON.stringify(wanted) === JSON.stringify(this.#tags)) return; // A button that is just being pressed stays.
    this.#tags = wanted;
    this.#list.hidden = this.#tags.length === 0;
    replace(this.#list, this.#tags.map((tag) => this.#row(tag)));
  }

  /** Takes what is in the field as a tag; false when nothing is. */
  take() {
    const tag = text(this.input.value);
    if (!tag) return false;
    this.input.value = "";
    if (!this.#tags.includes(tag)) this.#change([...this.#tags, tag], `Tag ${tag} added`);
    return true;
  }

  #change(tags, news) {
    this.tags = tags;
    say(news);
    this.#onChange(this.tags);
  }

  #row(tag) {
    const remove = () => {
      this.#change(this.#tags.filter((one) => one !== tag), `Tag ${tag} removed`);
      this.input.focus();
    };
    const label = `Remove the tag ${tag}`;
    return h("li", { class: "tag" }, tag,
      h("button", { class: "tag-remove", type: "button", "aria-label": label, onclick: remove }, "×"));
  }

  #suggest() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fetchKnown(), ASK_AFTER_MS);
  }

  async #fetchKnown() {
    try {
      const { items } = await this.#api.get(`/v1/tags?prefix=${encodeURIComponent(text(this.input.value))}`);
      replace(this.#known, items.map((tag) => h("option", { value: tag })));
    } catch {
      // Then there is nothing to complete it from.
    }
  }
}
