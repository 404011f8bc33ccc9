// What to do with a stream that was just created, on one page that is easy to follow: where to publish, with what
// settings, and whether it is live yet.

import { Desk } from "./desk.js";
import { h, replace, say, setText } from "./elements.js";
import { gathered } from "./events.js";
import { IngestPanel } from "./ingest_panel.js";
import { canEdit } from "./rights.js";
import { stateMark } from "./state_mark.js";
import { stateView } from "./state_words.js";

const PAUSE_MS = 300; // Between two looks, however much happens.

/** `params.id`: the stream that was created. */
export async function mount(root, { params: { id }, api, events, me, navigate, signal }) {
  const desk = new Desk({ api, me, signal, navigate }, id);
  const name = h("code", { id: "created-name" });
  const element = h("div", { class: "stack-wide" },
    h("div", { class: "view-head" },
      h("div", {}, h("h1", {}, "Your stream is ready"), h("p", { class: "detail" }, name)),
      h("a", { class: "button", href: `/streams/${encodeURIComponent(id)}` }, "To the page of the stream")));
  replace(root, element);
  const [now, ingest] = [new NowPanel(), new IngestPanel(desk)];
  const show = (stream) => {
    setText(name, stream.name);
    now.show(stream);
    ingest.show({ stream });
  };
  const refresh = gathered(() => api.get(desk.path).then(show, () => {}), PAUSE_MS, signal);
  events.listen(({ type, data }) => { if (type === "hello" || data?.stream?.id === id) refresh(); }, signal);
  show(await api.get(desk.path));
  const steps = ingest.element.querySelector("details:has(.steps)");
  if (steps) steps.open = true;
  const quick = h("div", { class: "stack-wide" }, browserPanel(id, me), now.element);
  element.append(h("div", { class: "start-layout" }, quick, ingest.element));
}

function browserPanel(id, me) {
  if (!canEdit(me)) return null;
  const address = `/webcaster?stream=${encodeURIComponent(id)}`;
  return h("section", { class: "panel", "aria-labelledby": "browser-title" },
    h("h2", { id: "browser-title" }, "Publish from this browser"),
    h("p", {}, "Camera, screen or a test picture, without another program."),
    h("p", {}, h("a", { class: "button primary", href: address, "data-native": true }, "Start in the browser")));
}

class NowPanel {
  #state = h("p", { class: "headline" });
  #detail = h("p", { class: "detail" });
  #shown = "";
  element = h("section", { class: "panel", "aria-labelledby": "now-title" },
    h("h2", { id: "now-title" }, "Now"), h("div", {}, this.#state, this.#detail));

  show(stream) {
    setText(this.#detail, stateView(stream).detail);
    if (stream.state === this.#shown) return;
    replace(this.#state, stateMark(stream.state));
    if (this.#shown) say(`The stream is ${stream.state}`);
    this.#shown = stream.state;
  }
}
