// What is published: the main source with the sound, perhaps a further picture, and what of it all is muted.
//
// Muting keeps every source open, so that it is back at once. A picture that is muted is not sent at all, instead
// of in black: the server sees that, and can tell players or show them its last picture. Sound that is muted
// goes on as silence, since players want sound without gaps.
//
// Events: "gone" (detail `{place, kind}`): a source ended by itself, and stays in its place until it is changed; kind
// "microphone": that alone ended, and silence goes out in its place. "changed": another source, or another part of it,
// is in place.

import { cameraOf, exchangeCamera, exchangeMicrophone, openFurtherSource, openSource } from "./sources.js";

export const MAIN = 0;
export const FURTHER = 1;
const NAMES = { camera: "Camera", screen: "Screen", picture: "Test picture" };

export class Lineup extends EventTarget {
  #sources = [null, null];
  #senders = null; // Once it is published.
  #muted = { video: false, audio: false };
  #isOver = false;

  /** Opens what `settings` names as `source` and `also`. Raises SourceError; the caller stops it all then. */
  async open(settings) {
    const kinds = [settings.source, settings.also];
    // A screen is given only shortly after a click, and who is asked for a camera may take long to say yes.
    const order = settings.also === "screen" ? [FURTHER, MAIN] : [MAIN, FURTHER];
    for (const place of order) if (kinds[place]) await this.#put(place, await this.#open(place, kinds[place], settings));
  }

  get main() {
    return this.#sources[MAIN];
  }

  at(place) {
    return this.#sources[place];
  }

  get muted() {
    return { ...this.#muted };
  }

  /** The tracks to publish. */
  get media() {
    return { audio: audioOf(this.main), videos: this.#sources.filter(Boolean).map(videoOf) };
  }

  /** From now on, changes go out by these Senders. */
  publishBy(senders) {
    this.#senders = senders;
  }

  /** What the source at `place` is called, beside the other. */
  nameOf(place) {
    const kinds = this.#sources.map((source) => source?.kind);
    if (!kinds[place]) return "Nothing";
    const name = NAMES[kinds[place]];
    return place === FURTHER && kinds[MAIN] === kinds[FURTHER] ? `Second ${name.toLowerCase()}` : name;
  }

  /** Whether the picture at `place` has ended by itself. */
  hasLost(place) {
    return this.#sources[place] !== null && hasEnded(this.#sources[place]);
  }

  /** Whether there is still sound that can go on by itself. */
  get hasSound() {
    return audioOf(this.main).readyState === "live";
  }

  /** Puts the source `kind` in place of the present one, or nothing (""). On failure the present one goes on. */
  async change(place, kind, settings) {
    await this.#put(place, kind ? await this.#open(place, kind, settings) : null);
  }

  /** Where a camera is whose place another one can take, or -1. */
  get cameraPlace() {
    return this.#sources.findIndex((source) => source?.kind === "camera");
  }

  /** The camera that the source at `place` does not use because the other one does, or "". */
  takenAt(place) {
    return cameraOf(this.#sources[place === MAIN ? FURTHER : MAIN]);
  }

  /**
   * Puts the camera that `settings` names in place of the one at `cameraPlace`. Raises SourceError; the present one
   * goes on then, unless `hasLost` says that it could not.
   */
  async changeCamera(settings) {
    const place = this.cameraPlace;
    await this.#exchange(place, (source) => exchangeCamera(source, settings, this.takenAt(place)));
  }

  /** The same of the microphone. `settings.microphone`: false for silence in its place. */
  async changeMicrophone(settings) {
    await this.#exchange(MAIN, (source) => exchangeMicrophone(source, settings));
  }

  /** `kind`: "video", of all sources, or "audio". */
  async mute(kind, on) {
    this.#muted[kind] = on;
    this.#muteSound();
    if (kind === "video") await Promise.all([MAIN, FURTHER].map((place) => this.#sendVideo(place, this.#sources[place])));
  }

  /** Sends nothing at `place` any more, until its source is changed. */
  async drop(place) {
    await this.#sendVideo(place, null);
  }

  stop() {
    this.#isOver = true;
    this.#senders = null;
    for (const source of this.#sources) source?.stop();
  }

  async #open(place, kind, settings) {
    const opened = await (place === MAIN ? openSource : openFurtherSource)(kind, settings, this.takenAt(place));
    if (this.#isOver) opened.stop();
    return opened;
  }

  async #exchange(place, exchanged) {
    const before = this.#sources[place];
    const { source, trouble } = await exchanged(before);
    if (this.#isOver || this.#sources[place] !== before) return source.stop(before); // Too late.
    await this.#put(place, source);
    if (trouble) throw trouble;
  }

  /** Takes a newly opened source over: what is muted stays muted, the one before is let go. */
  async #put(place, opened) {
    const before = this.#sources[place];
    try {
      await this.#sendVideo(place, opened);
      if (place === MAIN) await this.#senders?.replaceAudio(audioOf(opened));
    } catch (error) {
      opened?.stop(before);
      throw error;
    }
    this.#sources[place] = opened;
    this.#muteSound();
    if (opened) this.#watch(place, opened);
    before?.stop(opened);
    this.dispatchEvent(new CustomEvent("changed"));
  }

  async #sendVideo(place, source) {
    const track = source && !this.#muted.video && !hasEnded(source) ? videoOf(source) : null;
    await this.#senders?.replaceVideo(place, track);
  }

  #muteSound() {
    if (this.main) audioOf(this.main).enabled = !this.#muted.audio;
  }

  #watch(place, source) {
    this.#tellOfEnd(videoOf(source), place, source, source.kind);
    if (source.parts?.microphone) this.#tellOfEnd(source.parts.microphone, place, source, "microphone");
  }

  #tellOfEnd(track, place, source, kind) {
    track.addEventListener("ended", () => {
      if (this.#isOver || this.#sources[place] !== source) return;
      this.dispatchEvent(new CustomEvent("gone", { detail: { place, kind } }));
    });
  }
}

function hasEnded(source) {
  return videoOf(source).readyState === "ended";
}

function videoOf(source) {
  return source.stream.getVideoTracks()[0];
}

function audioOf(source) {
  return source.stream.getAudioTracks()[0];
}
