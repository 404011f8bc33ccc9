// Buttons that copy what stands beside them.

import { h, say } from "./elements.js";

const COPIED_MS = 2_000;

/** A button that copies what `source()` gives then; `label` is its name for those who cannot see where it stands. */
export function copyButton(source, label) {
  const button = h("button", { class: "button small copy", type: "button", "aria-label": label }, "Copy");
  let timer = 0;
  button.addEventListener("click", async () => {
    const isCopied = await copyText(source(), button);
    button.textContent = isCopied ? "Copied" : "Not copied";
    say(isCopied ? "Copied" : "It could not be copied: select it, and copy it with your keyboard");
    clearTimeout(timer);
    timer = setTimeout(() => { button.textContent = "Copy"; }, COPIED_MS);
  });
  return button;
}

/** Something to copy, with its name above it. */
export function copyable(title, words) {
  const code = h("code", { class: "address" }, words);
  return h("div", { class: "copyable" },
    h("div", { class: "panel-head" }, h("h3", {}, title), copyButton(() => code.textContent, `Copy: ${title}`)), code);
}

async function copyText(words, button) {
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    // Pages that are not secure have no clipboard; the old way needs a selection. In a dialog, one inside of it.
    const field = h("textarea", { class: "visually-hidden", readonly: true, "aria-hidden": "true" });
    field.value = words;
    button.after(field);
    field.select();
    const isCopied = document.execCommand("copy");
    field.remove();
    button.focus();
    return isCopied;
  }
}
