// The console: who is signed in, and the view that the address asks for. A view is a module with
//
//   mount(root, {params, query, navigate, note, api, events, me, signal, signIn})
//
// which shows itself in `root`, an element of its own, until `signal` aborts.

import { Api, ApiError } from "./api.js";
import { h } from "./elements.js";
import { Events } from "./events.js";
import { Router } from "./router.js";
import { Shell } from "./shell.js";
import { troubleView } from "./trouble.js";

const NAME = "Whipway";
const SIGN_IN = "/sign-in";

class Console {
  #api = new Api(() => this.#onSignedOut());
  #events = new Events(this.#api);
  #shell = new Shell(() => this.#signOut());
  #router = new Router((view) => this.#show(view));
  #place = document.getElementById("view");
  #me = null;
  #leaving = new AbortController();

  async start() {
    this.#events.listen((event) => this.#shell.hear(event));
    try {
      this.#become(await this.#api.who());
    } catch (error) {
      this.#place.replaceChildren(troubleView(error, () => location.reload()));
      return;
    }
    this.#router.start();
  }

  #become(me) {
    this.#me = me;
    this.#shell.showPerson(me);
    if (me) this.#events.open();
    else this.#events.close();
  }

  async #show(view) {
    const { path, route, params, query, isFirst, top } = view;
    if (!route.isOpen && !this.#me) return this.#askToSignIn(path);
    this.#leaving.abort();
    const { signal } = this.#leaving = new AbortController();
    this.#shell.showPath(path);
    const root = h("div", { class: "view" });
    const context = {
      params, query, signal, api: this.#api, events: this.#events, me: this.#me,
      navigate: (...to) => this.#router.navigate(...to),
      note: (...to) => this.#router.note(...to),
      signIn: (key) => this.#signIn(key),
    };
    try {
      const { mount } = await route.load();
      if (signal.aborted) return;
      this.#place.replaceChildren(root);
      document.title = `${route.title} · ${NAME}`;
      const isShown = mount(root, context);
      if (!isFirst) this.#goToTop(root);
      await isShown;
      if (top && !signal.aborted) scrollTo(0, top);
    } catch (error) {
      if (signal.aborted || isSignedOut(error)) return;
      this.#place.replaceChildren(troubleView(error, () => this.#show(view)));
    }
  }

  /** As after a link to another page: the top of it is seen, and the keyboard and those who listen begin there. */
  #goToTop(root) {
    scrollTo(0, 0);
    if (root.contains(document.activeElement)) return;
    const heading = root.querySelector("h1") ?? this.#place;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }

  async #signIn(key) {
    this.#become(await this.#api.signIn(key));
  }

  async #signOut() {
    try {
      await this.#api.signOut();
    } catch (error) {
      if (!isSignedOut(error)) return this.#place.prepend(troubleView(error, () => this.#signOut()));
    }
    this.#become(null);
    this.#router.navigate(SIGN_IN);
  }

  #onSignedOut() {
    if (!this.#me) return;
    this.#become(null);
    this.#askToSignIn(this.#router.path, { ended: "1" });
  }

  #askToSignIn(next, more = {}) {
    const query = new URLSearchParams({ ...(next === "/" ? {} : { next }), ...more });
    this.#router.navigate(`${SIGN_IN}${query.size ? `?${query}` : ""}`, { replace: true });
  }
}

function isSignedOut(error) {
  return error instanceof ApiError && error.status === 401;
}

new Console().start();
