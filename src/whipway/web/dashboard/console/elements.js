// Elements, made of what they are. Text is always text here, never HTML: names and tags come from strangers.

import { addressOf } from "./addresses.js";

const SVG = "http://www.w3.org/2000/svg";
const ADDRESSES = new Set(["href", "src"]);

/**
 * `h("p", {class: "hint"}, "Words ", h("b", {}, "bold"))`. An attribute that is a function listens ("onclick"), true
 * stands without a value, null and false are left out; `href` and `src` are paths of this server, or whole addresses.
 * Children are elements and text, also in lists; null and false are left out.
 */
export function h(tag, attributes = {}, ...children) {
  return fillElement(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fillElement(document.createElementNS(SVG, tag), attributes, children);
}

/** Puts these in the place of all that an element has. */
export function replace(element, ...children) {
  element.replaceChildren(...present(children));
}

/** Sets text if it is another: a selection in it survives, and who listens is not told twice. */
export function setText(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/** Tells those who listen to the page; the line is not seen. The same words are said again. */
export function say(words) {
  const line = document.getElementById("news");
  line.textContent = "";
  // In one go, a reader would see no change.
  requestAnimationFrame(() => { line.textContent = words; });
}

function fillElement(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) setAttribute(element, name, value);
  element.append(...present(children));
  return element;
}

function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (typeof value === "function") element.addEventListener(name.slice("on".length), value);
  else if (value === true) element.setAttribute(name, "");
  else element.setAttribute(name, ADDRESSES.has(name) ? addressOf(String(value)) : String(value));
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
