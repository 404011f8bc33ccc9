// How to publish a stream, and how to play it: addresses to copy or to scan, a token for a publisher, and what to
// set in OBS.

import { addressOf } from "./addresses.js";
import { copyButton } from "./copy.js";
import { h, setText } from "./elements.js";
import { field, panel } from "./panel.js";
import { momentWords } from "./state_words.js";

const LIFETIMES = [["3600", "1 hour"], ["86400", "1 day"], ["604800", "7 days"], ["2592000", "30 days"]]; // Seconds.
const DEFAULT_LIFETIME = "86400";
const LOCKED = "The stream is locked: nobody can publish it.";
const TOKEN_HINT = "For a person or an encoder that shall publish this stream and do nothing else.";
// As the recommended settings of the platform have it: low delay first.
const OBS_WHIP = [
  "Settings, Stream: service “WHIP”, the WHIP address as the server, the token as the bearer token.",
  "Settings, Video: 1280x720, 25 fps.",
  "Settings, Output, mode “Advanced”: encoder x264, rate control CBR, 2000 kbit/s, keyframe interval 2 s.",
  "There as well: profile “baseline” or “main”, tune “zerolatency”, x264 options “bframes=0”.",
];
const OBS_RTMP = "By RTMP: service “Custom”, the RTMP address as the server, the stream name as the stream key. "
  + "The rest is the same.";

export class IngestPanel {
  #locked = h("p", { class: "detail warnings" });
  #whip;
  #rtmp;
  #name;
  #play;
  #flv;

  constructor(desk) {
    this.#whip = new Address("whip-url", "WHIP address");
    this.#rtmp = new Address("rtmp-url", "RTMP address");
    this.#name = new Address("rtmp-name", "RTMP stream name");
    this.#play = new Address("play-url", "RTMP");
    this.#flv = new Address("flv-url", "HTTP-FLV");
    const whip = codeOf(desk, "whip", "WHIP address as a QR code");
    const rtmp = codeOf(desk, "rtmp", "RTMP address as a QR code");
    const play = codeOf(desk, "play", "Address to play as a QR code");
    this.element = panel("ingest", "Publish it", [], this.#locked,
      this.#whip.element, whip, this.#rtmp.element, this.#name.element, rtmp,
      desk.canEdit && new TokenMaker(desk).element, obsSteps(),
      h("h2", { class: "second" }, "Play it"), this.#play.element, this.#flv.element, play);
  }

  show({ stream }) {
    const { ingest, playout } = stream;
    setText(this.#locked, stream.state === "locked" ? LOCKED : "");
    this.#whip.show(ingest.whip?.url);
    this.#rtmp.show(ingest.rtmp?.url);
    this.#name.show(ingest.rtmp?.streamname);
    const [first] = playout.rtmp ?? [];
    this.#play.show(first && `${first.url.replace(/\/+$/, "")}/${first.streamname}`);
    this.#flv.show(playout.flv);
  }
}

/** Something to copy, with its name above. */
class Address {
  #code;

  constructor(id, title) {
    this.#code = h("code", { class: "address", id });
    const copy = copyButton(() => this.#code.textContent, `Copy: ${title}`);
    const head = h("div", { class: "panel-head" }, h("h3", {}, title), copy);
    this.element = h("div", { class: "stack" }, head, this.#code);
  }

  show(words) {
    this.element.hidden = !words;
    setText(this.#code, words ?? "");
  }
}

/** A picture that a phone can read. It is fetched when somebody wants to see it. */
function codeOf(desk, of, title) {
  const image = h("img", { class: "qr", alt: title, width: "200", height: "200" });
  const code = h("details", {}, h("summary", {}, title), image);
  code.addEventListener("toggle", () => {
    if (code.open) image.src = addressOf(`${desk.path}/qr.svg?of=${of}`);
  });
  return code;
}

/** A new token is shown once. */
class TokenMaker {
  #desk;
  #lifetime = h("select", {});
  #token = h("code", { class: "address", id: "token" });
  #until = h("p", { class: "hint" });
  #made;
  #trouble = h("p", { class: "detail warnings", role: "status" });

  constructor(desk) {
    this.#desk = desk;
    this.#lifetime.replaceChildren(...LIFETIMES.map(([value, words]) => new Option(words, value)));
    this.#lifetime.value = DEFAULT_LIFETIME;
    const copy = copyButton(() => this.#token.textContent, "Copy: token");
    this.#made = h("div", { class: "stack", hidden: true, role: "status" },
      h("div", { class: "panel-head" }, h("h3", {}, "Token"), copy), this.#token, this.#until);
    const form = h("form", { class: "stack" }, field("lifetime", "It is good for", this.#lifetime),
      h("div", { class: "buttons" }, h("button", { class: "button small", type: "submit" }, "Make a token")));
    form.addEventListener("submit", (event) => this.#make(event));
    this.element = h("details", {}, h("summary", {}, "Token for a publisher"),
      h("div", { class: "stack" }, h("p", { class: "hint" }, TOKEN_HINT), form, this.#made, this.#trouble));
  }

  async #make(event) {
    event.preventDefault();
    const body = { expires_in: Number(this.#lifetime.value) };
    await this.#desk.ask(this.#trouble, async () => {
      this.#show(await this.#desk.api.post(`${this.#desk.path}/tokens`, body));
    });
  }

  #show({ token, expires_at: until }) {
    setText(this.#token, token);
    setText(this.#until, `Copy it now: it is not shown again. Good until ${momentWords(until)}.`);
    this.#made.hidden = false;
  }
}

function obsSteps() {
  return h("details", {}, h("summary", {}, "Set up OBS"),
    h("ol", { class: "steps" }, ...OBS_WHIP.map((words) => h("li", {}, words))), h("p", { class: "hint" }, OBS_RTMP));
}
