// Tables. On a phone their rows are shown as blocks, which takes their meaning away from those who listen: so the
// roles that HTML gives by itself are written out.

import { h } from "./elements.js";

/** A table and its body. `name`: attributes that name it. A column that holds buttons is "(words)", not to be seen. */
export function makeTable(name, columns) {
  const body = h("tbody", { role: "rowgroup" });
  const heads = columns.map((words) => {
    const hidden = /^\((.*)\)$/.exec(words)?.[1];
    const content = hidden ? h("span", { class: "visually-hidden" }, hidden) : words;
    return h("th", { scope: "col", role: "columnheader" }, content);
  });
  const head = h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads));
  return { table: h("table", { class: "table", role: "table", ...name }, head, body), body };
}

export function tableRow(attributes, ...cells) {
  return h("tr", { role: "row", ...attributes }, cells);
}

/** What the row is of. */
export function rowHead(...content) {
  return h("th", { scope: "row", role: "rowheader" }, content);
}

/** `attributes`: `class` "first" is shown beside the head on a phone, "last" below all; `data-label` names it there. */
export function cell(attributes, ...content) {
  return h("td", { role: "cell", ...attributes }, content);
}
