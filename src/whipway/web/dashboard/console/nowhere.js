// There is nothing at this address.

import { h } from "./elements.js";

export async function mount(root) {
  root.replaceChildren(h("section", { class: "panel trouble" },
    h("h1", {}, "There is no such page"),
    h("p", {}, h("a", { class: "button", href: "/" }, "To the live streams"))));
}
