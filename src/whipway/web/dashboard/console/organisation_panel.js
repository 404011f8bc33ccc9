// Whose streams these are, and who is asked before each publish.

import { h, say, setText } from "./elements.js";
import { field, panel } from "./panel.js";
import { troubleWords } from "./trouble.js";

const HOOK_HINT = "Asked by POST before anybody may publish: only 200 lets them. Then told each minute, and at the end."
  + " Empty: nobody is asked.";
const PLACEHOLDER = "https://example.com/publish";

export class OrganisationPanel {
  #api;
  #signal;
  #name = h("input", { type: "text", required: true, maxlength: "128", autocomplete: "organization" });
  #webhook = h("input", { type: "url", maxlength: "1024", placeholder: PLACEHOLDER, autocomplete: "off" });
  #hash = h("code", { class: "address" });
  #saved = h("p", { class: "detail", role: "status" });
  #trouble = h("p", { class: "detail warnings", role: "alert" });

  constructor(api, signal) {
    [this.#api, this.#signal] = [api, signal];
    const form = h("form", { class: "stack" },
      field("organisation-name", "Name", this.#name),
      field("organisation-webhook", "Ask before publishing", this.#webhook, HOOK_HINT),
      h("div", { class: "ways" }, h("button", { class: "button", type: "submit" }, "Save")),
      this.#saved, this.#trouble);
    form.addEventListener("submit", (event) => this.#save(event));
    const hash = h("div", { class: "stack" }, h("h3", {}, "Names of streams begin with"), this.#hash);
    this.element = panel("organisation", "Organisation", [], form, hash);
    this.element.classList.add("narrow");
  }

  async load() {
    const organisation = await this.#api.get("/v1/organisation");
    if (!this.#signal.aborted) this.#show(organisation);
  }

  #show({ name, hash, webhook }) {
    [this.#name.value, this.#webhook.value] = [name, webhook ?? ""];
    setText(this.#hash, `${hash}-`);
  }

  async #save(event) {
    event.preventDefault();
    setText(this.#saved, "");
    try {
      const body = { name: this.#name.value.trim(), webhook: this.#webhook.value.trim() || null };
      this.#show(await this.#api.patch("/v1/organisation", body));
      setText(this.#trouble, "");
      setText(this.#saved, "Saved");
      say("Saved");
    } catch (error) {
      if (!this.#signal.aborted) setText(this.#trouble, troubleWords(error));
    }
  }
}
