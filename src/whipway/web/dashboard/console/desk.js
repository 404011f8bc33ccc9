// What all panels of the page of one stream share: whom to ask, what this person may do, where news is told.

import { ServerClock } from "./clock.js";
import { say, setText } from "./elements.js";
import { canControl, canEdit } from "./rights.js";
import { troubleWords } from "./trouble.js";

export class Desk {
  #told = new Map(); // By topic.
  #news = []; // Said in one go: a second one would cut the first short.
  #closed = new AbortController();

  /** `signal` aborts when the page is left; `me`: who is signed in; `id`: the stream's. */
  constructor({ api, me, signal, navigate }, id) {
    [this.api, this.left, this.navigate] = [api, signal, navigate];
    /** Aborts when there is nothing more to show: the page is left, or the stream is gone. */
    this.signal = AbortSignal.any([signal, this.#closed.signal]);
    this.path = `/v1/streams/${encodeURIComponent(id)}`;
    this.id = id;
    this.clock = new ServerClock();
    this.canEdit = canEdit(me);
    this.canControl = canControl(me);
    /** The session that publishes the stream now, as its path; "" while there is none. */
    this.session = "";
  }

  close() {
    this.#closed.abort();
  }

  /** Resolves to whether it was done. Why it was not stands in `place`, an element, until the next question. */
  async ask(place, work) {
    try {
      await work();
      setText(place, "");
      return true;
    } catch (error) {
      if (!this.left.aborted) setText(place, troubleWords(error));
      return false;
    }
  }

  /** An image as a Blob; null when there is none, or no telling. */
  picture(path) {
    return this.api.picture(path, this.signal);
  }

  /** For who listens: says `words` if they are other than what was said last of this topic. The first are not said. */
  tell(topic, words) {
    const before = this.#told.get(topic);
    if (before === words) return;
    this.#told.set(topic, words);
    if (before === undefined || !words) return;
    if (this.#news.push(words) === 1) queueMicrotask(() => say(this.#news.splice(0).join(" ")));
  }
}
