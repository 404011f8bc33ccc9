// Asks before something is done that cannot be taken back, or that viewers see.

import { h } from "./elements.js";

/** Resolves to whether the person wants it. The keyboard begins at "Cancel", and comes back to where it was. */
export function confirmed(title, words, action) {
  const cancel = h("button", { class: "button", value: "", autofocus: true }, "Cancel");
  const go = h("button", { class: "button danger", value: "yes" }, action);
  const named = { "aria-labelledby": "confirm-title", "aria-describedby": "confirm-words" };
  const dialog = h("dialog", { class: "confirm", ...named },
    h("form", { method: "dialog" },
      h("h2", { id: "confirm-title" }, title),
      h("p", { id: "confirm-words" }, words),
      h("div", { class: "confirm-buttons" }, cancel, go)));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
  });
}
