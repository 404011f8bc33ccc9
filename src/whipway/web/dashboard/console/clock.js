// The server's clock, as far as its figures tell it: that of this computer may be another, and "live for 3 minutes"
// is counted from a moment that the server names.

const TOLERANCE_MS = 15_000; // What is noted happened some seconds ago, and was on its way.

export class ServerClock {
  #ahead = 0; // In ms: how far the server's clock is ahead of ours.

  /** `moment`: of something that has just happened there, in ms. */
  note(moment) {
    const ahead = moment - Date.now();
    if (Math.abs(ahead - this.#ahead) > TOLERANCE_MS) this.#ahead = ahead;
  }

  /** In ms, as `Date.now()`. */
  now() {
    return Date.now() + this.#ahead;
  }

  /** Seconds since a moment (ISO 8601); never less than none. */
  secondsSince(iso) {
    return Math.max(0, (this.now() - Date.parse(iso)) / 1000);
  }
}
