// What is around every view: where one can go, who is signed in, and notices that concern the whole page.

import { addressOf } from "./addresses.js";
import { h, replace } from "./elements.js";
import { canManage, ROLE_WORDS } from "./rights.js";

const TABS = [
  { path: "/", words: "Live" },
  { path: "/streams", words: "Streams" },
  { path: "/sessions", words: "Sessions" },
  { path: "/settings", words: "Settings", isFor: canManage },
];
const LOST = "There is no connection to the server: what is shown may be old. It is tried again and again.";
const PATIENCE_MS = 2_000; // A connection that comes back at once is not worth a word.
const UPDATED = "The server was updated. ";

const place = (id) => document.getElementById(id);

export class Shell {
  #notices = new Map(); // By topic.
  #version = "";
  #losing = 0;

  /** `onSignOut()`: the person wants to go. */
  constructor(onSignOut) {
    this.onSignOut = onSignOut;
    place("brand").href = addressOf("/");
    place("skip").addEventListener("click", (event) => {
      event.preventDefault();
      place("view").focus();
    });
  }

  /** `me`: null when nobody is signed in. */
  showPerson(me) {
    place("tabs").hidden = me === null;
    if (me === null) {
      this.hear({ type: "closed" });
      for (const id of ["tabs", "who", "foot"]) replace(place(id));
      return;
    }
    this.#version ||= me.version;
    const tabs = TABS.filter(({ isFor }) => !isFor || isFor(me));
    replace(place("tabs"), tabs.map(({ path, words }) => h("a", { class: "tab", href: path }, words)));
    replace(place("who"),
      h("span", { class: "who-words" },
        h("span", { class: "who-name" }, me.name || "Signed in"),
        h("span", { class: "who-role" }, ROLE_WORDS[me.role] ?? me.role)),
      h("button", { class: "button small", type: "button", onclick: () => this.onSignOut() }, "Sign out"));
    replace(place("foot"), h("p", {}, `Whipway ${me.version}`));
  }

  /** Marks the tab that a path belongs to. */
  showPath(path) {
    const { pathname } = new URL(path, "http://host");
    for (const tab of place("tabs").children) {
      const { path: own } = TABS.find(({ words }) => words === tab.textContent);
      const isHere = own === "/" ? pathname === "/" : `${pathname}/`.startsWith(`${own}/`);
      if (isHere) tab.setAttribute("aria-current", pathname === own ? "page" : "true");
      else tab.removeAttribute("aria-current");
    }
  }

  /** What the stream of events tells of the server itself. */
  hear({ type, data }) {
    if (type === "lost") {
      this.#losing ||= setTimeout(() => this.#notice("lost", LOST), PATIENCE_MS);
      return;
    }
    clearTimeout(this.#losing);
    this.#losing = 0;
    this.#notice("lost", null);
    if (type !== "hello" || data.version === this.#version) return;
    this.#notice("version", UPDATED, h("a", { href: location.href, "data-native": true }, "Load the page anew"));
  }

  #notice(topic, ...words) {
    const isWanted = words[0] !== null;
    if (isWanted === this.#notices.has(topic)) return;
    if (isWanted) this.#notices.set(topic, h("p", { class: "notice" }, ...words));
    else this.#notices.delete(topic);
    replace(place("notices"), ...this.#notices.values());
  }
}
