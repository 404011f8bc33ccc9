// Pictures of the inputs as the server has them, fetched again and again while somebody looks: a hidden page
// fetches nothing, and a server that nobody asks has nothing to decode. An <img> could not send the token.

const INTERVAL_MS = 2_000; // The server makes no newer ones more often.

export class Thumbnails {
  #fetchPicture;
  #show;
  #mids = [];
  #urls = new Map(); // By mid; each holds its image until it is revoked.
  #timer = 0;
  #isFetching = false;
  #leave = new AbortController();

  /** `fetchPicture(mid)` resolves to a Blob or null; `show(mid, url)` gets what it became. */
  constructor(fetchPicture, show) {
    this.#fetchPicture = fetchPicture;
    this.#show = show;
    document.addEventListener("visibilitychange", () => this.#wake(), { signal: this.#leave.signal });
  }

  /** Of which inputs, from now on. */
  want(mids) {
    this.#mids = mids;
    if (!this.#timer) this.#wake();
  }

  /** For good. Images that are shown are let go. */
  stop() {
    this.#leave.abort();
    clearTimeout(this.#timer);
    for (const mid of [...this.#urls.keys()]) this.#take(mid, null);
  }

  async #wake() {
    if (this.#isFetching || !this.#isWanted()) return;
    clearTimeout(this.#timer);
    this.#isFetching = true;
    this.#timer = setTimeout(() => this.#again(), INTERVAL_MS);
    for (const mid of this.#mids) {
      if (!this.#isWanted()) break;
      const picture = await this.#fetchPicture(mid);
      if (picture && !this.#isOver()) this.#take(mid, URL.createObjectURL(picture));
    }
    this.#isFetching = false;
  }

  #again() {
    this.#timer = 0;
    this.#wake();
  }

  #isWanted() {
    return !this.#isOver() && !document.hidden && this.#mids.length > 0;
  }

  #isOver() {
    return this.#leave.signal.aborted;
  }

  #take(mid, url) {
    const before = this.#urls.get(mid);
    if (url) this.#urls.set(mid, url);
    else this.#urls.delete(mid);
    this.#show(mid, url);
    if (before) URL.revokeObjectURL(before);
  }
}
