// The picture as viewers have it: the last key frame, every two seconds, while the stream is live and somebody
// looks. A hidden page asks for nothing, and the server has nothing to decode then.

import { Thumbnails } from "../shared/thumbnails.js";
import { h, setText } from "./elements.js";

const WORDS = {
  live: "The picture appears here with its next key frame",
  off: "The picture appears here once the stream is live",
};
const MUTED = "No picture comes from the publisher";

export class Preview {
  #desk;
  #image = h("img", { alt: "", hidden: true });
  #placeholder = h("p", { class: "screen-words" }, WORDS.off);
  #note = h("p", { class: "screen-note", hidden: true }, MUTED);
  #pictures = null; // While live.

  constructor(desk) {
    this.#desk = desk;
    this.element = h("div", { class: "screen" }, this.#placeholder, this.#image, this.#note);
    desk.signal.addEventListener("abort", () => this.#stop());
  }

  show({ stream, session }) {
    const isLive = stream.state === "live";
    if (isLive && !this.#pictures) this.#start();
    if (!isLive && this.#pictures) this.#stop();
    setText(this.#placeholder, WORDS[isLive ? "live" : "off"]);
    this.#note.hidden = !isLive || session?.snapshot.video !== "muted";
    this.#image.alt = `Latest key frame of ${stream.name}`;
  }

  #start() {
    const fetchPicture = () => this.#desk.picture(`${this.#desk.path}/preview`);
    this.#pictures = new Thumbnails(fetchPicture, (_, url) => showImage(this.#image, url));
    this.#pictures.want(["preview"]);
  }

  #stop() {
    this.#pictures?.stop();
    this.#pictures = null;
  }
}

/** `url`: null takes the picture away. */
export function showImage(image, url) {
  image.hidden = url === null;
  if (url === null) image.removeAttribute("src");
  else image.src = url;
}
