// What is wrong, each with what to do about it. The panel keeps its size: nothing below it moves when something
// goes wrong, so that no click goes astray.

import { h, setText } from "./elements.js";
import { panel, Rows } from "./panel.js";

const NOTHING = {
  live: "Nothing needs your attention.",
  locked: "Unlock the stream, and it can be published again.",
  connecting: "Wait for the first picture: it is on its way.",
};
const TO_PUBLISH = "Start in the browser. Or copy the WHIP address into OBS, or RTMP address and stream name into any "
  + "other encoder. This page is live by itself with the first picture.";

export class IssuesPanel {
  #desk;
  #count = h("span", { class: "count" });
  #hint = h("p", { class: "hint" });
  #list = h("ul", { class: "issues", role: "list" });
  #rows = new Rows(this.#list, () => makeRow());

  constructor(desk) {
    this.#desk = desk;
    const named = { role: "group", "aria-labelledby": "issues-title" };
    const room = h("div", { class: "issues-room", tabindex: "0", ...named }, this.#hint, this.#list);
    this.element = panel("issues", "What to do", [this.#count], room);
  }

  show({ stream }, issues, verdict) {
    const rows = this.#rows.keep(issues.map(({ cause }) => cause));
    rows.forEach((row, place) => row.show(issues[place]));
    setText(this.#count, issues.length > 0 ? String(issues.length) : "");
    this.#list.hidden = issues.length === 0;
    setText(this.#hint, issues.length > 0 ? "" : restWords(stream));
    const words = issues.map(({ topic }) => topic).join(" ");
    this.#desk.tell("issues", words || (verdict.color === "green" ? "All is well." : ""));
  }
}

function restWords({ state, publisher }) {
  if (publisher && state !== "live") return NOTHING.connecting;
  return NOTHING[state] ?? TO_PUBLISH;
}

function makeRow() {
  const [what, todo] = [h("p", { class: "issue-what" }), h("p", { class: "issue-todo" })];
  const lamp = h("span", { class: "lamp", "aria-hidden": "true" });
  const element = h("li", { class: "issue" }, lamp, h("div", {}, what, todo));
  return {
    element,
    show(issue) {
      element.dataset.level = issue.level;
      setText(what, issue.what);
      setText(todo, issue.todo);
    },
  };
}
