// The pictures that a publisher sends, where there are several: each as the server has it, how it fares, and a
// button that puts it on air. A button that cannot act now is still there to be found, and says so.

import { inputView, inputsOf, onAirWords } from "../shared/input_wording.js";
import { Thumbnails } from "../shared/thumbnails.js";
import { h, setText } from "./elements.js";
import { panel, Rows } from "./panel.js";
import { showImage } from "./preview.js";

export class InputsPanel {
  #desk;
  #list = h("ul", { class: "inputs", role: "list" });
  #rows = new Rows(this.#list, (mid) => this.#makeRow(mid));
  #trouble = h("p", { class: "detail warnings", role: "status" });
  #thumbnails = null;
  #session = ""; // Whose pictures they are.

  constructor(desk) {
    this.#desk = desk;
    this.element = panel("inputs", "What is on air", [], this.#list, this.#trouble);
    this.element.hidden = true;
    desk.signal.addEventListener("abort", () => this.#thumbnails?.stop());
  }

  show({ session }) {
    const snapshot = session?.snapshot;
    const inputs = inputsOf(snapshot);
    const isChoice = inputs.length > 1;
    this.element.hidden = !isChoice;
    const shown = isChoice ? inputs : [];
    const nameOf = (mid) => `Picture ${inputs.findIndex((input) => input.mid === mid) + 1}`;
    const rows = this.#rows.keep(shown.map(({ mid }) => mid));
    rows.forEach((row, place) => row.show(inputView(shown[place], snapshot.input, nameOf(shown[place].mid))));
    this.#fetch(shown.filter(({ state }) => state !== "waiting").map(({ mid }) => mid));
    if (isChoice) this.#desk.tell("inputs", onAirWords(inputs, snapshot.input, nameOf));
  }

  #fetch(mids) {
    if (this.#session !== this.#desk.session) {
      this.#thumbnails?.stop();
      this.#session = this.#desk.session;
      const path = `${this.#session}/input`;
      const fetchPicture = (mid) => this.#desk.picture(`${path}/${encodeURIComponent(mid)}/thumbnail`);
      const show = (mid, url) => this.#rows.get(mid)?.showPicture(url);
      this.#thumbnails = this.#session ? new Thumbnails(fetchPicture, show) : null;
    }
    this.#thumbnails?.want(mids);
  }

  #makeRow(mid) {
    const parts = {
      name: h("p", { class: "input-name" }), state: h("p", { class: "input-state" }),
      figures: h("p", { class: "detail" }), layers: h("p", { class: "detail" }),
    };
    const image = h("img", { alt: "", hidden: true });
    const button = h("button", { class: "button small", type: "button" });
    button.addEventListener("click", () => this.#putOnAir(mid, button));
    const element = h("li", { class: "input" }, h("div", { class: "thumb" }, image),
      h("div", { class: "input-words" }, ...Object.values(parts)), this.#desk.canEdit && button);
    return {
      element,
      showPicture: (url) => showImage(image, url),
      show: ({ standing, canAct, action, ...words }) => {
        element.dataset.standing = standing;
        for (const [part, value] of Object.entries(words)) setText(parts[part], value);
        setText(button, action);
        button.setAttribute("aria-disabled", String(!canAct));
        button.setAttribute("aria-label", `${action}: ${words.name}`);
        image.alt = `Latest key frame of ${words.name}`;
      },
    };
  }

  #putOnAir(mid, button) {
    if (button.getAttribute("aria-disabled") === "true") return;
    this.#desk.ask(this.#trouble, () => this.#desk.api.put(`${this.#desk.session}/input`, { mid }));
  }
}
