// How loud tracks are, measured while somebody can see the page: of a hidden one all of it stands still.
//
// It has an audio graph of its own, which can be stopped as a whole. A browser may hold it back until the first click;
// what is sent does not wait for that.

const LOOK_MS = 100;
const CALM_LOOK_MS = 500; // For who wants less motion.
const SAMPLES = 8192; // 170 ms at 48 kHz: longer than a look, so that no peak falls between two.
const SILENT_PEAK = 1e-4; // -80 dB, which a microphone that is on is never below.
const CLIPPED_PEAK = 0.99;
const SILENCE_MS = 2_000; // A pause for breath is shorter.
const HELD_MS = 2_000; // How long the loudest moment counts: long enough to be read.

export class Meters {
  #show;
  #context = null;
  #ears = new Map(); // By name.
  #timer = 0;

  /**
   * `show(name, reading)`: `{level, loudest, isSilent, isClipped}`, in dB below full scale: now, and at the loudest of
   * the last seconds, of which `isClipped` tells as well; null: nothing is known.
   */
  constructor(show) {
    this.#show = show;
    document.addEventListener("visibilitychange", () => this.#turn());
  }

  /** `tracks`: by name; null where there is none. What is measured already goes on. */
  watch(tracks) {
    this.#context ??= new AudioContext();
    for (const [name, track] of Object.entries(tracks)) {
      if (this.#ears.get(name)?.track === track) continue;
      this.#drop(name);
      if (track) this.#listen(name, track);
      else this.#show(name, null);
    }
    this.#turn();
  }

  /** To be called on a click or key press. */
  wake() {
    this.#turn();
  }

  stop() {
    for (const name of [...this.#ears.keys()]) {
      this.#drop(name);
      this.#show(name, null);
    }
    this.#turn();
    this.#context?.close();
    this.#context = null;
  }

  #listen(name, track) {
    try {
      this.#ears.set(name, new Ear(this.#context, track));
    } catch {
      // Firefox measures no track whose sample rate is another than its own: then there is no telling.
    }
  }

  #drop(name) {
    this.#ears.get(name)?.close();
    this.#ears.delete(name);
  }

  #turn() {
    clearInterval(this.#timer);
    this.#timer = 0;
    if (!this.#context) return;
    if (document.hidden || this.#ears.size === 0) return void this.#context.suspend();
    this.#context.resume().catch(() => {}); // Held back: wake() asks again.
    for (const ear of this.#ears.values()) ear.beginAnew();
    const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#timer = setInterval(() => this.#look(), isCalm ? CALM_LOOK_MS : LOOK_MS);
  }

  #look() {
    const isRunning = this.#context.state === "running";
    for (const [name, ear] of this.#ears) this.#show(name, isRunning ? ear.read(performance.now()) : null);
  }
}

class Ear {
  #input;
  #analyser;
  #samples = new Float32Array(SAMPLES);
  #heardAt = null; // Null: before the first look.
  #loudest = { peak: 0, at: -Infinity };

  constructor(context, track) {
    this.track = track;
    this.#input = context.createMediaStreamSource(new MediaStream([track]));
    this.#analyser = new AnalyserNode(context, { fftSize: SAMPLES });
    this.#input.connect(this.#analyser);
  }

  /** Nobody has listened for a while: it is not known how long it was silent. */
  beginAnew() {
    this.#heardAt = null;
  }

  read(now) {
    this.#analyser.getFloatTimeDomainData(this.#samples);
    const peak = this.#samples.reduce((highest, sample) => Math.max(highest, Math.abs(sample)), 0);
    if (peak > SILENT_PEAK || this.#heardAt === null) this.#heardAt = now;
    if (peak >= this.#loudest.peak || now - this.#loudest.at >= HELD_MS) this.#loudest = { peak, at: now };
    return {
      level: decibels(peak),
      loudest: decibels(this.#loudest.peak),
      isSilent: now - this.#heardAt > SILENCE_MS,
      isClipped: this.#loudest.peak >= CLIPPED_PEAK,
    };
  }

  close() {
    this.#input.disconnect();
  }
}

function decibels(peak) {
  return 20 * Math.log10(peak);
}
