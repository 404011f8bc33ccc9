// What the panels of the stream page are made of: a section with its heading, a field with its label, a
// row per thing that is told of.

import { h } from "./elements.js";

/** A section with a heading, `head` (a list) beside that. */
export function panel(name, title, head, ...body) {
  const heading = h("h2", { id: `${name}-title` }, title);
  return h("section", { class: `panel ${name}-panel`, "aria-labelledby": `${name}-title` },
    h("div", { class: "panel-head" }, heading, ...head), ...body);
}

/** A field with its label above, and perhaps a hint below. */
export function field(name, words, control, hint = "") {
  control.id = name;
  if (hint) control.setAttribute("aria-describedby", `${name}-hint`);
  return h("div", { class: "field" }, h("label", { for: name }, words), control,
    ...(hint ? [h("p", { class: "hint", id: `${name}-hint` }, hint)] : []));
}

/** Options are made anew only when they are others: a list that is open would close. `choices`: `[value, words]`. */
export function fillOptions(select, choices, value) {
  const present = [...select.options].map((option) => [option.value, option.text]);
  if (JSON.stringify(present) !== JSON.stringify(choices)) {
    select.replaceChildren(...choices.map(([each, words]) => new Option(words, each)));
  }
  if (select.value !== value) select.value = value;
}

/** Rows of a list by what they stand for. They stay in place while what they say changes. */
export class Rows {
  #list;
  #make;
  #rows = new Map();

  /** `make(key)` gives a row with an `element`. */
  constructor(list, make) {
    this.#list = list;
    this.#make = make;
  }

  /** The rows of these keys in their order; others go. */
  keep(keys) {
    for (const [key, { element }] of this.#rows) {
      if (keys.includes(key)) continue;
      this.#rows.delete(key);
      element.remove();
    }
    return keys.map((key, place) => {
      if (!this.#rows.has(key)) this.#rows.set(key, this.#make(key));
      const row = this.#rows.get(key);
      const there = this.#list.children[place];
      if (there !== row.element) this.#list.insertBefore(row.element, there ?? null);
      return row;
    });
  }

  get(key) {
    return this.#rows.get(key);
  }
}
