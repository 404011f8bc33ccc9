// When to restart ICE, and how often. What a restart is, the client knows.
//
// A connection that breaks off may heal by itself, so there is some patience first. Then come tries with growing
// pauses between them; the last one that fails ends the waiting. A change of network begins anew, and at once.

const PATIENCE_MS = 1_500;
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000]; // After tries that failed.
const SETTLE_MS = 4_000; // After one that was taken: the checks with the new credentials need some round trips.

/** Calls `changed` when the browser changes its network or is in one again, until `signal` is aborted. */
export function watchNetwork(changed, signal) {
  addEventListener("online", changed, { signal });
  const network = navigator.connection;
  let type = network?.type;
  // "change" also tells of mere estimates of speed; only some browsers tell the type.
  network?.addEventListener?.("change", () => {
    if (network.type !== type) changed();
    type = network.type;
  }, { signal });
}

export class Recovery {
  #attempt;
  #giveUp;
  #timer = 0;
  #tries = 0;
  #broken = false;
  #trying = false;
  #again = false; // The network changed while a try was under way.
  #stopped = false;

  /** `attempt()` tries once and resolves to whether the server took it; `giveUp()` is called after the last. */
  constructor(attempt, giveUp) {
    this.#attempt = attempt;
    this.#giveUp = giveUp;
  }

  /** Nothing gets through: `patient` where it may still come back by itself. */
  broken({ patient }) {
    const before = this.#broken;
    this.#broken = true;
    if (this.#trying || this.#tries > 0 || (before && patient)) return;
    this.#wait(patient ? PATIENCE_MS : 0);
  }

  /** It gets through again. */
  healed() {
    if (!this.#broken) return;
    clearTimeout(this.#timer);
    this.#broken = false;
    this.#tries = 0;
  }

  /** The browser is in another network, or in one again: the old path may be dead, even if nobody noticed. */
  networkChanged() {
    this.#tries = 0;
    if (this.#trying) this.#again = true;
    else this.#wait(0);
  }

  /** For good: whatever happens from now on, nothing is tried. */
  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #wait(pause) {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    this.#timer = setTimeout(() => this.#try(), pause);
  }

  async #try() {
    if (this.#tries > PAUSES_MS.length) return this.#giveUp();
    this.#trying = true;
    const taken = await this.#attempt();
    this.#trying = false;
    if (this.#stopped) return;
    if (this.#again) {
      this.#again = false;
      this.#wait(0);
    } else if (this.#broken) {
      this.#wait(taken ? SETTLE_MS : PAUSES_MS[this.#tries] ?? 0);
      this.#tries += 1;
    }
  }
}
