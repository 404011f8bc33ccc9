// What is kept of a stream: its tags, where it is pushed on to, its id, since when there is one.

import { text } from "../shared/words.js";
import { confirmed } from "./confirm.js";
import { h, replace, setText } from "./elements.js";
import { field, panel } from "./panel.js";
import { momentWords } from "./state_words.js";
import { TagField } from "./tag_field.js";

const PUSH_HINT = "Each time the stream is live it is sent there as well. A complete RTMP address, with the stream name "
  + "or key as its last part.";
const NO_TAGS = "None";

export class DetailsPanel {
  #tags;
  #push;
  #facts = { id: h("dd", {}), created: h("dd", {}), changed: h("dd", {}) };

  constructor(desk) {
    this.#tags = new TagsEditor(desk);
    this.#push = new PushEditor(desk);
    const facts = [["id", "Id"], ["created", "Created"], ["changed", "Changed"]];
    this.element = panel("details", "Details", [], this.#tags.element, this.#push.element,
      h("dl", { class: "facts" }, ...facts.map(([key, words]) => h("div", {}, h("dt", {}, words), this.#facts[key]))));
  }

  show({ stream }) {
    this.#tags.show(stream);
    this.#push.show(stream);
    setText(this.#facts.id, stream.id);
    setText(this.#facts.created, momentWords(stream.created_at));
    setText(this.#facts.changed, momentWords(stream.updated_at));
  }
}

/** What somebody else has changed is shown, unless a change of this person is on its way. */
class TagsEditor {
  #desk;
  #field = null;
  #list = h("ul", { class: "tags", role: "list" });
  #shown = "";
  #pending = 0;
  #changedAt = ""; // By this person, as the server says. A word from before it may still be on its way.
  #trouble = h("p", { class: "detail warnings", role: "status" });

  constructor(desk) {
    this.#desk = desk;
    const onChange = (tags) => this.#put(tags);
    if (desk.canEdit) this.#field = new TagField(desk.api, { id: "new-tag", label: "Tags", action: "Add", onChange });
    const looks = [h("h3", {}, "Tags"), this.#list];
    this.element = h("div", { class: "stack" }, this.#field ? this.#field.element : looks, this.#trouble);
  }

  show({ tags, updated_at: at }) {
    const shown = JSON.stringify(tags);
    if (this.#pending > 0 || at < this.#changedAt || shown === this.#shown) return;
    this.#shown = shown;
    if (this.#field) this.#field.tags = tags;
    else replace(this.#list, tags.map((tag) => h("li", { class: "tag" }, tag)), tags.length === 0 && NO_TAGS);
  }

  async #put(tags) {
    this.#pending += 1;
    await this.#desk.ask(this.#trouble, async () => {
      const { updated_at: at } = await this.#desk.api.patch(this.#desk.path, { tags });
      if (at > this.#changedAt) this.#changedAt = at;
    });
    this.#pending -= 1;
    this.#shown = ""; // The next word from the server tells what became of it.
  }
}

/** The push URL is seen without its key, so that it is not edited but written anew. */
class PushEditor {
  #desk;
  #now = h("code", { class: "address" });
  #none = h("p", { class: "hint" }, "It is pushed nowhere.");
  #input = h("input", {
    type: "text", inputmode: "url", maxlength: "1536", required: true, spellcheck: "false", autocapitalize: "none",
    autocomplete: "off", placeholder: "rtmp://host/app/key",
  });
  #remove = h("button", { class: "button small", type: "button" }, "Remove");
  #trouble = h("p", { class: "detail warnings", role: "status" });

  constructor(desk) {
    this.#desk = desk;
    const save = h("button", { class: "button small", type: "submit" }, "Save");
    const form = h("form", { class: "stack" },
      field("push-url", "New push URL", this.#input, PUSH_HINT), h("div", { class: "buttons" }, save, this.#remove));
    form.addEventListener("submit", (event) => this.#save(event));
    this.#remove.addEventListener("click", () => this.#clear());
    const editor = h("details", {}, h("summary", {}, "Change it"), form);
    this.element = h("div", { class: "stack" },
      h("h3", {}, "Push URL"), this.#now, this.#none, desk.canEdit && editor, this.#trouble);
  }

  show({ push_url: url }) {
    const isSet = text(url) !== "";
    this.#now.hidden = !isSet;
    this.#none.hidden = isSet;
    this.#remove.disabled = !isSet;
    setText(this.#now, text(url));
  }

  async #save(event) {
    event.preventDefault();
    if (await this.#put(this.#input.value.trim())) this.#input.value = "";
  }

  async #clear() {
    const words = "The stream is not sent there any more, also now if it is live.";
    if (!await confirmed("Remove the push URL?", words, "Remove")) return;
    if (await this.#put(null)) this.#input.focus();
  }

  #put(url) {
    return this.#desk.ask(this.#trouble, () => this.#desk.api.patch(this.#desk.path, { push_url: url }));
  }
}
