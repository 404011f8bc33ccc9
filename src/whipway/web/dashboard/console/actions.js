// What can be done with a stream as a whole: publish it from this browser, stop it, lock it, delete it. What the
// person may not do, or what has no sense now, is there but switched off, and a line says why.

import { confirmed } from "./confirm.js";
import { h, setText } from "./elements.js";

const REFUSED = "Only an admin may stop, lock and delete streams.";

export class Actions {
  #desk;
  #start;
  #stop = button("Stop");
  #lock = button("Lock");
  #delete = button("Delete", "danger-quiet");
  #trouble = h("p", { class: "detail warnings", role: "status" });
  #hint;
  #stream = null;

  constructor(desk) {
    this.#desk = desk;
    const [address, words] = [`/webcaster?stream=${encodeURIComponent(desk.id)}`, "Start in the browser"];
    this.#start = h("a", { class: "button primary", href: address }, words);
    this.#hint = h("p", { class: "hint" }, desk.canControl ? "" : REFUSED);
    const controls = [this.#stop, this.#lock, this.#delete];
    const row = h("div", { class: "stream-actions" }, ...(desk.canEdit ? [this.#start] : []), ...controls);
    for (const control of controls) control.disabled = true;
    this.element = h("div", { class: "stack" }, row, this.#hint, this.#trouble);
    this.#bind();
  }

  show({ stream }) {
    this.#stream = stream;
    const isLocked = stream.state === "locked";
    const isPublished = stream.state === "live" || stream.publisher !== null;
    this.#start.hidden = isLocked || isPublished;
    this.#stop.disabled = !this.#desk.canControl || !isPublished;
    this.#lock.disabled = this.#delete.disabled = !this.#desk.canControl;
    setText(this.#lock, isLocked ? "Unlock" : "Lock");
  }

  #bind() {
    this.#stop.addEventListener("click", () => this.#ask("stop", "Stop this stream?",
      "Its viewers see it end. The publisher may start again at any time; to prevent that, lock it.", "Stop"));
    this.#lock.addEventListener("click", () => this.#turnLock());
    this.#delete.addEventListener("click", () => this.#remove());
  }

  #turnLock() {
    if (this.#stream.state === "locked") return this.#do("unlock");
    const isLive = this.#stream.state === "live" ? "Its viewers see it end. " : "";
    return this.#ask("lock", "Lock this stream?", `${isLive}Nobody can publish it until it is unlocked.`, "Lock");
  }

  async #ask(what, title, words, action) {
    if (await confirmed(title, words, action)) await this.#do(what);
  }

  #do(what) {
    return this.#desk.ask(this.#trouble, () => this.#desk.api.post(`${this.#desk.path}/${what}`));
  }

  async #remove() {
    const words = `${this.#stream.name} is gone for good: it cannot be brought back, and its name is not given again.`;
    if (!await confirmed("Delete this stream?", words, "Delete")) return;
    const isGone = await this.#desk.ask(this.#trouble, () => this.#desk.api.delete(this.#desk.path));
    if (isGone && !this.#desk.left.aborted) this.#desk.navigate("/streams");
  }
}

function button(words, more = "") {
  return h("button", { class: `button ${more}`.trim(), type: "button" }, words);
}
