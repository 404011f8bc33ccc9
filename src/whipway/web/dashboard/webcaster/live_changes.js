// What of the sources is changed while live. The person chooses in the form; here it is done, at each place one change
// after the other. On failure what was there goes on, and the form says so again.

import { FURTHER, MAIN } from "./lineup.js";
import { readSettings } from "./settings.js";
import { elements } from "./view.js";

export const SOURCE_FIELDS = ["source", "also"]; // By place in the lineup.

export class LiveChanges {
  #lineup;
  #tell;
  #wanted = [new Map(), new Map()]; // By place: of each part the settings as they were when it was asked for.
  #isBusy = [false, false];
  #isOver = false;

  /** `tell`: `began(kind)`, `done()`, `failed(error)`, `lost(place)`, which came of trying. */
  constructor(lineup, tell) {
    this.#lineup = lineup;
    this.#tell = tell;
  }

  /** Does what the form says of "source", "also", "camera" or "microphone". */
  ask(part) {
    const place = this.#placeOf(part);
    if (place < 0) return;
    this.#wanted[place].set(part, readSettings(elements));
    if (!this.#isBusy[place]) this.#work(place);
  }

  stop() {
    this.#isOver = true;
  }

  /** What the field of a source has to say: nothing of one that is lost, so that the same can be chosen again. */
  kindAt(place) {
    return this.#lineup.hasLost(place) ? "" : this.#lineup.at(place)?.kind ?? "";
  }

  #placeOf(part) {
    if (part === "camera") return this.#lineup.cameraPlace;
    return part === "also" ? FURTHER : MAIN;
  }

  async #work(place) {
    this.#isBusy[place] = true;
    for (const [part, settings] of this.#wanted[place]) { // What is asked for meanwhile comes as well.
      this.#wanted[place].delete(part);
      await this.#change(part, place, settings);
      if (this.#isOver) return;
    }
    this.#isBusy[place] = false;
  }

  async #change(part, place, settings) {
    const isSource = SOURCE_FIELDS.includes(part);
    const kind = isSource ? settings[part] : part;
    if (isSource && kind === this.kindAt(place)) return;
    try {
      this.#tell.began(kind);
      await this.#carryOut(part, place, settings);
      if (!this.#isOver) this.#tell.done();
    } catch (error) {
      if (this.#isOver) return;
      this.#tell.failed(error);
      if (!isSource && this.#lineup.hasLost(place)) this.#tell.lost(place);
    }
    const field = SOURCE_FIELDS[place];
    if (!this.#isOver && !this.#wanted[place].has(field)) elements[field].value = this.kindAt(place);
  }

  #carryOut(part, place, settings) {
    if (part === "camera") return this.#lineup.changeCamera(settings);
    if (part === "microphone") return this.#lineup.changeMicrophone(settings);
    return this.#lineup.change(place, settings[part], settings);
  }
}
