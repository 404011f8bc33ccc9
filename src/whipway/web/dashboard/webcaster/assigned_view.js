// What the page shows of the stream that the dashboard chose. Then neither name nor target is for the person to say.

import { AssignedStream } from "./assigned_stream.js";
import { elements, lockTarget, showAssigned } from "./view.js";
import { ASSIGNED, BACK, TO_DASHBOARD, TO_SIGN_IN } from "./wording.js";

const DASHBOARD = { address: "./", words: TO_DASHBOARD };

export class AssignedView {
  #stream;

  constructor(id) {
    this.#stream = new AssignedStream(id);
    lockTarget(ASSIGNED.hint);
    showAssigned({ words: ASSIGNED.reading, link: this.#back });
  }

  /** What publishes the stream, as far as it was asked for. */
  get token() {
    return this.#stream.token;
  }

  /** Fills name and target in, unless they are. Raises WhipError. */
  async fill() {
    if (this.#stream.known) return;
    const { name, streamName, streamUrl } = await this.#telling(this.#stream.read());
    [elements["stream-name"].value, elements["stream-url"].value] = [streamName, streamUrl];
    this.#showKnown(name);
  }

  /** A token, another than before. Raises WhipError. */
  async makeToken() {
    const token = await this.#telling(this.#stream.makeToken());
    this.#showKnown(this.#stream.known.name); // Or there is still a link to sign in.
    return token;
  }

  get #back() {
    return { address: this.#stream.pageAddress, words: BACK };
  }

  #showKnown(name) {
    showAssigned({ words: ASSIGNED.known, name, link: this.#back });
  }

  /** Of errors, it shows the way to where something can be done. */
  async #telling(asked) {
    try {
      return await asked;
    } catch (error) {
      const { known } = this.#stream;
      const words = known ? ASSIGNED.known : ASSIGNED.unknown;
      const [isSignedOut, isGone] = [error.kind === "signed-out", error.kind === "stream-gone"];
      const link = isSignedOut ? { address: this.#stream.signInAddress, words: TO_SIGN_IN } : isGone ? DASHBOARD : this.#back;
      showAssigned({ words, name: known?.name, link });
      throw error;
    }
  }
}
