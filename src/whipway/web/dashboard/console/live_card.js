// A live stream in the list of those: its picture, its name, for how long, and two figures.

import { bitrateWords, durationWords } from "../shared/words.js";
import { h, replace, setText } from "./elements.js";

const NO_PICTURE = "No picture yet";

export class LiveCard {
  hasFigures = false;
  #since = "";
  #image = h("img", { alt: "", hidden: true });
  #badge = h("p", { class: "badge" }, h("span", { class: "badge-dot", "aria-hidden": "true" }));
  #elapsed = h("span", { class: "badge-time" });
  #name;
  #figures = h("p", { class: "card-figures" });
  #tags = h("ul", { class: "tags", role: "list", "aria-label": "Tags" });

  constructor(id) {
    this.#name = h("a", { class: "card-name", href: `/streams/${encodeURIComponent(id)}` });
    this.#badge.append("Live ", this.#elapsed);
    this.element = h("li", { class: "card", "data-id": id },
      h("div", { class: "screen" }, h("p", { class: "screen-words" }, NO_PICTURE), this.#image, this.#badge),
      h("div", { class: "card-words" }, this.#name, this.#figures, this.#tags));
  }

  show({ name, tags, live_at: since }) {
    this.#since = since;
    setText(this.#name, name);
    this.#tags.hidden = tags.length === 0;
    replace(this.#tags, tags.map((tag) => h("li", { class: "tag" }, tag)));
  }

  /** `url`: null takes the picture away. */
  showPicture(url) {
    this.#image.hidden = url === null;
    if (url === null) this.#image.removeAttribute("src");
    else this.#image.src = url;
  }

  /** `point`: undefined when nothing is known. */
  showFigures(point) {
    this.hasFigures = true;
    const { bitrate, fps } = point ?? {};
    setText(this.#figures, [
      typeof bitrate === "number" ? bitrateWords(bitrate) : "",
      typeof fps === "number" ? `${Math.round(fps)} fps` : "",
    ].filter(Boolean).join(", "));
  }

  /** Time goes on. */
  tick(clock) {
    setText(this.#elapsed, this.#since ? durationWords(clock.secondsSince(this.#since)) : "");
  }
}
