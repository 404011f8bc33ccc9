// Webhooks: addresses that are told of what happens. The secret that signs what they get is shown once.

import { confirmed } from "./confirm.js";
import { copyable } from "./copy.js";
import { h, replace, say, setText } from "./elements.js";
import { field, panel } from "./panel.js";
import { troubleWords } from "./trouble.js";

const KINDS = [
  ["*", "Everything"],
  ["stream.*", "All of streams"],
  ["stream.live stream.ended", "Streams go live and end"],
  ["sink.*", "All of RTMP targets"],
];
const PLACEHOLDER = "https://example.com/hook";
const ONCE = "Give it to the receiver now: it is not shown again.";
const WHAT = "Each is told by signed JSON (Standard Webhooks), and told again until it has answered.";

export class WebhooksPanel {
  #api;
  #signal;
  #list = h("ul", { class: "sinks", role: "list" });
  #url = h("input", { type: "url", required: true, maxlength: "1024", placeholder: PLACEHOLDER, autocomplete: "off" });
  #events = h("select", {}, KINDS.map(([value, words]) => h("option", { value }, words)));
  #made = h("div", { class: "secret stack", hidden: true });
  #trouble = h("p", { class: "detail warnings", role: "alert" });

  constructor(api, signal) {
    [this.#api, this.#signal] = [api, signal];
    const form = h("form", { class: "form-row", "aria-label": "Add a webhook" },
      field("webhook-url", "Address", this.#url), field("webhook-events", "Is told of", this.#events),
      h("button", { class: "button", type: "submit" }, "Add a webhook"));
    form.addEventListener("submit", (event) => this.#add(event));
    const what = h("p", { class: "hint" }, WHAT);
    this.element = panel("webhooks", "Webhooks", [], what, form, this.#trouble, this.#made, this.#list);
  }

  async load() {
    const { items } = await this.#api.get("/v1/webhooks");
    if (!this.#signal.aborted) replace(this.#list, items.map((webhook) => this.#row(webhook)));
  }

  #row(webhook) {
    const outcome = h("p", { class: "detail", role: "status" });
    const waits = webhook.waiting > 0 ? `, ${webhook.waiting} still to be told` : "";
    const words = h("div", {},
      h("code", { class: "sink-target" }, webhook.url),
      h("p", { class: "detail" }, `Told of ${webhook.events.join(", ")}${waits}`), outcome);
    const button = (name, onclick) => {
      const label = `${name} ${webhook.url}`;
      return h("button", { class: "button small", type: "button", "aria-label": label, onclick }, name);
    };
    return h("li", { class: "webhook" }, words, h("div", { class: "ways" },
      button("Test", () => this.#test(webhook, outcome)), button("Delete", () => this.#delete(webhook))));
  }

  async #add(event) {
    event.preventDefault();
    const body = { url: this.#url.value.trim(), events: this.#events.value.split(" ") };
    await this.#do(async () => {
      const { secret } = await this.#api.post("/v1/webhooks", body);
      this.#made.hidden = false;
      replace(this.#made, copyable("The secret that signs what it is told", secret), h("p", { class: "hint" }, ONCE));
      this.#url.value = "";
      say(`The webhook was added. ${ONCE}`);
      await this.load();
    });
  }

  async #test(webhook, place) {
    setText(place, "Sending a test event");
    await this.#do(async () => setText(place, outcomeWords(await this.#api.post(`${pathOf(webhook)}/test`))));
  }

  async #delete(webhook) {
    const words = `${webhook.url} is told of nothing more, nor of what still waits.`;
    if (!await confirmed("Delete this webhook?", words, "Delete")) return;
    await this.#do(async () => {
      await this.#api.delete(pathOf(webhook));
      await this.load();
    });
  }

  async #do(work) {
    try {
      await work();
      setText(this.#trouble, "");
    } catch (error) {
      if (!this.#signal.aborted) setText(this.#trouble, troubleWords(error));
    }
  }
}

function pathOf({ id }) {
  return `/v1/webhooks/${encodeURIComponent(id)}`;
}

function outcomeWords({ is_success: isSuccess, status, error }) {
  if (isSuccess) return `It answered ${status}: all is well.`;
  return status ? `It answered ${status} instead of 2xx.` : `There was no answer: ${error}.`;
}
