// What the person can ask of a live session, and what the server tells of it: the panels of inputs and quality.
// Requests go out by SessionControl; what became of them, the session's status tells.

import { inputsOf } from "../shared/input_wording.js";
import { clearInputs, showInputPicture, showInputs, showInputsTrouble } from "./inputs_view.js";
import { clearQuality, showQuality, showQualityAsOld } from "./quality_view.js";
import { Thumbnails } from "../shared/thumbnails.js";
import { controlWords } from "./wording.js";

export class Steering {
  #control;
  #nameOf;
  #thumbnails;

  /** `control`: a SessionControl; `nameOf(mid)`: what the person calls that input. */
  constructor(control, nameOf) {
    this.#control = control;
    this.#nameOf = nameOf;
    this.#thumbnails = new Thumbnails((mid) => control.picture(mid), showInputPicture);
  }

  /** `snapshot`: the session's. With one input there is nothing to choose. */
  show(snapshot) {
    const inputs = inputsOf(snapshot);
    const isChoice = this.#control.takesInputs && inputs.length > 1;
    if (isChoice) showInputs(snapshot, this.#nameOf);
    this.#thumbnails.want(isChoice ? inputs.filter(({ state }) => state !== "waiting").map(({ mid }) => mid) : []);
    if (this.#control.hasQuality && snapshot.quality) showQuality(snapshot);
  }

  /** There is no word from the server. */
  showAsOld() {
    showQualityAsOld();
  }

  /** While nothing gets through, nothing is fetched. */
  pause() {
    this.#thumbnails.want([]);
  }

  stop() {
    this.#thumbnails.stop();
    clearInputs();
    clearQuality();
  }

  async putOnAir(mid) {
    showInputsTrouble(await troubleOf(this.#control.putOnAir(mid)));
  }

  /** Resolves to words of trouble, or "". */
  setQuality(values) {
    return troubleOf(this.#control.setQuality(values));
  }

  requestKeyframe() {
    return troubleOf(this.#control.requestKeyframe());
  }
}

async function troubleOf(request) {
  try {
    await request;
    return "";
  } catch (error) {
    return controlWords(error);
  }
}
