// Where the stream goes: the targets of the session that publishes it, each with its state and, where it does not
// publish, why. Targets are added and removed while it is live.

import { sinksOf, sinkView, targetWords } from "../shared/sink_wording.js";
import { confirmed } from "./confirm.js";
import { h, setText } from "./elements.js";
import { field, panel, Rows } from "./panel.js";

const HINTS = {
  off: "Each target and its state appear here once the stream is live.",
  rtmp: "It comes by RTMP, and can be played from this server. A push URL sends it on.",
  none: "This stream has no target: nobody gets it.",
};
const AUDIO = [["", "As the server is set up"], ["aac", "AAC"], ["opus", "Opus"], ["auto", "Automatic"]];
const FILLER = [["", "As the server is set up"], ["freeze", "Repeat the last picture"], ["none", "Send sound alone"]];
const URL_HINT = "Up to the application, without the name. Also rtmps:// and rtmp://user:password@host/app";
const PLAIN = { type: "text", required: true, spellcheck: "false", autocapitalize: "none", autocomplete: "off" };
const RTMP_ADDRESS = String.raw`\s*[rR][tT][mM][pP][sS]?://.+`;

export class SinksPanel {
  #desk;
  #hint = h("p", { class: "hint" }, HINTS.off);
  #list = h("ul", { class: "sinks", role: "list" });
  #rows;
  #url = h("input", {
    ...PLAIN, inputmode: "url", maxlength: "1024", pattern: RTMP_ADDRESS, placeholder: "rtmp://host:1935/live",
    title: "An address that starts with rtmp:// or rtmps://",
  });
  #name = h("input", { ...PLAIN, maxlength: "512" });
  #audio = h("select", {});
  #filler = h("select", {});
  #add = h("button", { class: "button primary", type: "submit" }, "Add target");
  #trouble = h("p", { class: "detail warnings", role: "status" });
  #summary = h("summary", {}, "Add a target");
  #form = h("details", { class: "add-sink", hidden: true });

  constructor(desk) {
    this.#desk = desk;
    this.#rows = new Rows(this.#list, (id) => this.#makeRow(id));
    for (const [select, choices] of [[this.#audio, AUDIO], [this.#filler, FILLER]]) {
      select.replaceChildren(...choices.map(([value, words]) => new Option(words, value)));
    }
    const form = h("form", { class: "stack" },
      field("sink-url", "RTMP address", this.#url, URL_HINT),
      field("sink-name", "Stream name or key there", this.#name),
      h("div", { class: "pair" },
        field("sink-audio", "Sound", this.#audio), field("sink-filler", "While no picture comes", this.#filler)),
      this.#add);
    this.#form.append(this.#summary, form);
    form.addEventListener("submit", (event) => this.#submit(event));
    this.element = panel("sinks", "Where it goes", [], this.#list, this.#hint, this.#form, this.#trouble);
  }

  show({ stream, session, rtmp }) {
    const snapshot = session?.snapshot ?? null;
    const sinks = snapshot ? sinksOf(snapshot) : [];
    const rows = this.#rows.keep(sinks.map(({ id }) => String(id)));
    rows.forEach((row, place) => row.show(sinks[place], snapshot));
    const hint = snapshot ? HINTS.none : HINTS[rtmp || stream.publisher?.kind === "rtmp" ? "rtmp" : "off"];
    setText(this.#hint, sinks.length > 0 ? "" : hint);
    this.#form.hidden = !snapshot || !this.#desk.canEdit;
  }

  async #submit(event) {
    event.preventDefault();
    const chosen = { audio: this.#audio.value, filler: this.#filler.value };
    const body = { stream_url: this.#url.value.trim(), stream_name: this.#name.value.trim() };
    for (const [name, value] of Object.entries(chosen)) if (value) body[name] = value;
    this.#add.disabled = true;
    const path = `${this.#desk.session}/sinks`;
    const isAdded = await this.#desk.ask(this.#trouble, () => this.#desk.api.post(path, body));
    this.#add.disabled = false;
    if (!isAdded) return this.#url.focus();
    this.#url.value = this.#name.value = "";
    this.#form.open = false;
    this.#summary.focus();
  }

  #makeRow(id) {
    const parts = {
      target: h("code", { class: "sink-target" }),
      state: h("p", { class: "sink-state" }),
      figures: h("p", { class: "detail" }),
    };
    const remove = h("button", { class: "button small", type: "button" }, "Remove");
    const words = h("div", { class: "sink-words" }, ...Object.values(parts));
    const lampPlace = h("span", { class: "lamp", "aria-hidden": "true" });
    const element = h("li", { class: "sink" }, lampPlace, words, this.#desk.canEdit && remove);
    let sink = null;
    remove.addEventListener("click", () => this.#remove(id, sink, remove));
    return {
      element,
      show: (latest, snapshot) => {
        sink = latest;
        const { lamp, ...told } = sinkView(sink, snapshot);
        element.dataset.lamp = lamp;
        for (const [part, value] of Object.entries(told)) setText(parts[part], value);
        remove.setAttribute("aria-label", `Remove ${told.target}`);
      },
    };
  }

  async #remove(id, sink, button) {
    const isOnAir = sink.state === "publishing";
    const what = isOnAir ? "gets the stream no more: its viewers see it end." : "is not tried any more.";
    if (!await confirmed("Remove this target?", `${targetWords(sink)} ${what}`, "Remove")) return;
    button.disabled = true;
    const path = `${this.#desk.session}/sinks/${encodeURIComponent(id)}`;
    const isDone = await this.#desk.ask(this.#trouble, () => this.#desk.api.delete(path));
    button.disabled = false;
    if (isDone) this.#summary.focus();
  }
}
