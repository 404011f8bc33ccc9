// Keys: who and what may use this server. A key is shown once, when it is made.

import { confirmed } from "./confirm.js";
import { copyable } from "./copy.js";
import { h, replace, say, setText } from "./elements.js";
import { field, panel } from "./panel.js";
import { ROLE_WORDS } from "./rights.js";
import { cell, makeTable, rowHead, tableRow } from "./table.js";
import { dayWords, timeMark } from "./times.js";
import { troubleWords } from "./trouble.js";

const DAY = 86_400; // Seconds.
// The first is what one gets who does not choose: no more than needed.
const ROLES = {
  user: "User: create and edit streams",
  admin: "Admin: everything",
  "read-only": "Read only: look",
  player: "Player: list streams by tag",
};
const LIFETIMES = [["", "For ever"], [DAY, "1 day"], [30 * DAY, "30 days"], [365 * DAY, "1 year"]];
const COLUMNS = ["Name", "Role", "Made", "Last used", "Good until", "(Revoke it)"];
const ONCE = "Copy it now: it is not shown again.";

export class KeysPanel {
  #api;
  #signal;
  #table = makeTable({ "aria-labelledby": "keys-title" }, COLUMNS);
  #name = h("input", { type: "text", required: true, maxlength: "128", autocomplete: "off" });
  #role = h("select", {}, Object.entries(ROLES).map(([value, words]) => h("option", { value }, words)));
  #lifetime = h("select", {}, LIFETIMES.map(([value, words]) => h("option", { value }, words)));
  #made = h("div", { class: "secret stack", hidden: true });
  #trouble = h("p", { class: "detail warnings", role: "alert" });

  constructor(api, signal) {
    [this.#api, this.#signal] = [api, signal];
    const form = h("form", { class: "form-row", "aria-label": "Make a key" },
      field("key-name", "Name", this.#name),
      field("key-role", "Role", this.#role),
      field("key-lifetime", "Good", this.#lifetime),
      h("button", { class: "button", type: "submit" }, "Make a key"));
    form.addEventListener("submit", (event) => this.#make(event));
    const table = h("div", { class: "table-room" }, this.#table.table);
    this.element = panel("keys", "Keys", [], form, this.#trouble, this.#made, table);
  }

  async load() {
    const { items } = await this.#api.get("/v1/keys");
    if (this.#signal.aborted) return;
    const good = items.filter((key) => !this.#isOver(key));
    replace(this.#table.body, good.map((key) => this.#row(key)));
  }

  #isOver({ revoked_at: revoked, expires_at: expires }) {
    return revoked !== null || (expires !== null && Date.parse(expires) < this.#api.clock.now());
  }

  #row(key) {
    const [clock, label] = [this.#api.clock, `Revoke ${key.name}`];
    const revoke = h("button", { class: "button small", type: "button", "aria-label": label }, "Revoke");
    revoke.addEventListener("click", () => this.#revoke(key));
    return tableRow({}, rowHead(key.name),
      cell({ class: "first" }, ROLE_WORDS[key.role] ?? key.role),
      cell({ "data-label": "made" }, timeMark(clock, key.created_at)),
      cell({ "data-label": "last used" }, timeMark(clock, key.used_at) ?? dim("never")),
      cell({ "data-label": "good until" }, key.expires_at ? dayWords(key.expires_at) : dim("for ever")),
      cell({ class: "last" }, revoke));
  }

  async #make(event) {
    event.preventDefault();
    const lifetime = Number(this.#lifetime.value);
    const body = { name: this.#name.value.trim(), role: this.#role.value };
    if (lifetime) body.expires_in = lifetime;
    await this.#do(async () => {
      const { key, name } = await this.#api.post("/v1/keys", body);
      this.#made.hidden = false;
      replace(this.#made, copyable(`The key “${name}”`, key), h("p", { class: "hint" }, ONCE));
      this.#name.value = "";
      say(`The key was made. ${ONCE}`);
    });
  }

  async #revoke(key) {
    const words = `Who signed in with “${key.name}” is signed out, and programs that use it are refused, for good.`;
    if (!await confirmed("Revoke this key?", words, "Revoke")) return;
    await this.#do(() => this.#api.delete(`/v1/keys/${encodeURIComponent(key.id)}`));
  }

  async #do(work) {
    try {
      await work();
      setText(this.#trouble, "");
      await this.load();
    } catch (error) {
      if (!this.#signal.aborted) setText(this.#trouble, troubleWords(error));
    }
  }
}

function dim(words) {
  return h("span", { class: "dim" }, words);
}
