// What happens on the server, as it happens: one stream of events for the whole page, whoever listens to it.

const PATH = "/v1/events";

export class Events {
  #api;
  #listeners = new Set();
  #closing = null;

  constructor(api) {
    this.#api = api;
  }

  open() {
    if (this.#closing) return;
    this.#closing = new AbortController();
    this.#api.events(PATH, (event) => this.#tell(event), this.#closing.signal);
  }

  close() {
    this.#closing?.abort();
    this.#closing = null;
  }

  /**
   * `listener({type, data})` until `signal` aborts. "hello" comes at each beginning: what happened before it may have
   * been missed. "lost": there is no connection for now.
   */
  listen(listener, signal) {
    this.#listeners.add(listener);
    signal?.addEventListener("abort", () => this.#listeners.delete(listener));
  }

  #tell(event) {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

/**
 * Calls `work` soon after each call, but never twice within `pause` milliseconds, and not while it goes on: many
 * events in a row are one reason to look again.
 */
export function gathered(work, pause, signal) {
  let [timer, isWorking, isWanted] = [0, false, false];
  const run = async () => {
    [isWorking, isWanted] = [true, false];
    await work();
    timer = setTimeout(() => {
      [timer, isWorking] = [0, false];
      if (isWanted && !signal.aborted) run();
    }, pause);
  };
  signal.addEventListener("abort", () => clearTimeout(timer));
  return () => {
    isWanted = true;
    if (!isWorking && !signal.aborted) run();
  };
}
