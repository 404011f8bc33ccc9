// Which view the address asks for. Links are ordinary links; those to views do not leave the page.

import { addressOf, pathOf } from "./addresses.js";

// What the path is → the title of the page, and who shows it. Modules are fetched when somebody goes there.
const ROUTES = [
  { pattern: /^\/$/, title: "Live", load: () => import("./home.js") },
  { pattern: /^\/streams$/, title: "Streams", load: () => import("./streams.js") },
  { pattern: /^\/create$/, title: "Create a stream", load: () => import("./create.js") },
  { pattern: /^\/streams\/(?<id>[^/]+)\/start$/, title: "Your stream is ready", load: () => import("./start.js") },
  { pattern: /^\/streams\/(?<id>[^/]+)$/, title: "Stream", load: () => import("./stream_page.js") },
  { pattern: /^\/sessions$/, title: "Sessions", load: () => import("./sessions.js") },
  { pattern: /^\/settings$/, title: "Settings", load: () => import("./settings.js") },
  { pattern: /^\/sign-in$/, title: "Sign in", load: () => import("./sign_in.js"), isOpen: true },
];
const NOWHERE = { title: "Not found", load: () => import("./nowhere.js"), isOpen: true };

/** `{route, params, query}` of a path with its query. */
export function routeOf(path) {
  const { pathname, searchParams } = new URL(path, "http://host");
  for (const route of ROUTES) {
    const match = route.pattern.exec(pathname);
    if (match) return { route, params: decoded(match.groups ?? {}), query: searchParams };
  }
  return { route: NOWHERE, params: {}, query: searchParams };
}

export class Router {
  #show;

  /**
   * `show({path, route, params, query, isFirst, top})` is called for each view that is to be shown. `top`: how far
   * down the page was when it was left, where somebody comes back to it.
   */
  constructor(show) {
    this.#show = show;
  }

  start() {
    addEventListener("popstate", ({ state }) => this.#open({ top: state?.top }));
    document.addEventListener("click", (event) => this.#onClick(event));
    this.#open({ isFirst: true });
  }

  /** Shows the view of a path of this server. `replace`: the way back leaves out where we are. */
  navigate(path, { replace = false } = {}) {
    this.#write(path, replace);
    this.#open();
  }

  /** The same view goes on, under another path: filters, pages. */
  note(path, { replace = false } = {}) {
    this.#write(path, replace);
  }

  get path() {
    return pathOf(location.href) ?? "/";
  }

  #write(path, replace) {
    if (!replace) history.replaceState({ top: scrollY }, "");
    history[replace ? "replaceState" : "pushState"](null, "", addressOf(path));
  }

  #open({ isFirst = false, top = 0 } = {}) {
    const { path } = this;
    this.#show({ path, isFirst, top, ...routeOf(path) });
  }

  #onClick(event) {
    const link = event.target.closest?.("a[href]");
    const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !isPlain || event.defaultPrevented || link.target || "native" in link.dataset) return;
    const path = pathOf(link.href);
    if (path === null || new URL(link.href).hash || routeOf(path).route === NOWHERE) return;
    event.preventDefault();
    this.navigate(path);
  }
}

function decoded(groups) {
  return Object.fromEntries(Object.entries(groups).map(([name, value]) => [name, decode(value)]));
}

function decode(value) {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
