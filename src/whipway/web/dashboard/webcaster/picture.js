// A generated picture with sound: a moving shape, a running timecode, a quiet tone, and once a second a white
// flash of the whole picture together with a 1 kHz beep, so that a receiver can measure how far sound and
// picture are apart.
//
// Sound cannot be moved once it is scheduled, so the audio clock leads: second k of the picture is audio time
// `zero + k`, the beep is scheduled for it, and frames are counted on the same line (frame k × rate flashes).
// The audio clock moves in steps of some milliseconds; the page's clock runs smoothly between them and is
// drawn towards it. While the browser holds sound back (no click yet) the page's clock runs alone.

const BEEP_HZ = 1000;
const BEEP_SECONDS = 0.08; // 80 whole periods: it starts and ends at zero, so it needs no ramp against clicks.
const BEEP_GAIN = 0.5;
const TONE_HZ = 220;
const TONE_GAIN = 0.02; // Just audible: enough that the sound never counts as silence.
const FLASH_SECONDS = 0.06;
const SCHEDULE_AHEAD_SECONDS = 0.5;
// Sound reaches the wire this much later than a picture made at the same moment: an Opus packet is full after
// 20 ms, the encoder looks 6.5 ms ahead. So beeps are early by it, and meet their flash where they are received.
const SOUND_LEAD_SECONDS = 0.0265;
const CLOCK_PULL = 0.05; // Share of the difference taken over per frame.
const CLOCK_JUMP_SECONDS = 0.25; // Beyond this (the computer slept) start afresh.
const GROUNDS = { first: "#12181d", second: "#33214d" };
const COLORS = ["#f2b84b", "#e77d5b", "#c95d8a", "#7d6bc4", "#3f8fc2", "#35a79c"];

export class MovingPicture {
  #context;
  #width;
  #height;
  #rate;
  #ground;
  #canvas = document.createElement("canvas");
  #pen;
  #sound;
  #tone;
  #ticker = new Worker(new URL("./ticker.js", import.meta.url));
  #began = performance.now() / 1000;
  #zero = null; // Audio time of the picture's second 0; null while sound does not run.
  #frame = -1;
  #nextBeep = 0;

  /** Draws `frameRate` pictures a second from construction until `stop()`; `look`: "first" or "second". */
  constructor({ width, height, frameRate }, context, look = "first") {
    this.#context = context;
    this.#width = this.#canvas.width = width;
    this.#height = this.#canvas.height = height;
    this.#rate = frameRate;
    this.#ground = GROUNDS[look];
    this.#pen = this.#canvas.getContext("2d", { alpha: false });
    this.#sound = context.createMediaStreamDestination();
    this.#tone = this.#playTone();
    this.#ticker.onmessage = () => this.#tick();
    this.#tick();
    // No rate is given: each drawn frame is taken once, when it was drawn.
    [this.videoTrack] = this.#canvas.captureStream().getVideoTracks();
    [this.audioTrack] = this.#sound.stream.getAudioTracks();
  }

  stop() {
    this.#ticker.terminate();
    this.#tone.stop();
    this.#tone.disconnect();
    this.videoTrack.stop();
    this.audioTrack.stop();
  }

  #playTone() {
    const tone = this.#oscillator(TONE_HZ, TONE_GAIN);
    tone.start();
    return tone;
  }

  #oscillator(frequency, gain) {
    const oscillator = new OscillatorNode(this.#context, { frequency });
    const volume = new GainNode(this.#context, { gain });
    oscillator.connect(volume).connect(this.#sound);
    oscillator.onended = () => volume.disconnect();
    return oscillator;
  }

  #tick() {
    const seconds = this.#elapsed();
    const frame = Math.floor(seconds * this.#rate + 1e-6);
    if (frame > this.#frame) {
      this.#frame = frame;
      this.#draw(frame);
    }
    this.#scheduleBeeps(seconds);
    const due = (this.#frame + 1) / this.#rate;
    this.#ticker.postMessage(Math.max(0, (due - this.#elapsed()) * 1000));
  }

  /** Seconds since the start, on the line that sound and picture share. */
  #elapsed() {
    const seconds = performance.now() / 1000 - this.#began;
    if (this.#context.state !== "running") {
      this.#zero = null;
      return seconds;
    }
    if (this.#zero === null) this.#anchor(seconds);
    const difference = this.#context.currentTime - this.#zero - seconds;
    if (Math.abs(difference) > CLOCK_JUMP_SECONDS) this.#anchor(seconds);
    else this.#began -= difference * CLOCK_PULL;
    return performance.now() / 1000 - this.#began;
  }

  #anchor(seconds) {
    this.#zero = this.#context.currentTime - seconds;
    this.#nextBeep = Math.ceil(seconds);
  }

  #scheduleBeeps(seconds) {
    if (this.#zero === null) return;
    while (this.#nextBeep <= seconds + SCHEDULE_AHEAD_SECONDS) {
      const at = this.#zero + this.#nextBeep - SOUND_LEAD_SECONDS;
      this.#nextBeep += 1;
      if (at < this.#context.currentTime) continue; // Too late to be on time: better none than a false one.
      const beep = this.#oscillator(BEEP_HZ, BEEP_GAIN);
      beep.start(at);
      beep.stop(at + BEEP_SECONDS);
    }
  }

  #draw(frame) {
    const inSecond = frame % this.#rate;
    this.#pen.fillStyle = "#ffffff";
    if (inSecond < Math.ceil(FLASH_SECONDS * this.#rate)) {
      this.#pen.fillRect(0, 0, this.#width, this.#height);
      // Encoders like to make it a key frame: whoever sees only those sees by the time that there are new ones.
      this.#drawTimecode(frame, this.#ground, this.#ground);
      return;
    }
    this.#drawGround();
    this.#drawDial(frame / this.#rate);
    this.#drawRunner(frame / this.#rate);
    this.#drawTimecode(frame, "#ffffff", "#9caab5");
  }

  #drawGround() {
    this.#pen.fillStyle = this.#ground;
    this.#pen.fillRect(0, 0, this.#width, this.#height);
    const step = this.#width / COLORS.length;
    COLORS.forEach((color, index) => {
      this.#pen.fillStyle = color;
      this.#pen.fillRect(Math.round(index * step), this.#height * 0.94, Math.ceil(step), this.#height * 0.06);
    });
  }

  /** A dial whose hand goes round once a second: at the top it is time to flash. */
  #drawDial(seconds) {
    const [x, y, radius] = [this.#width / 2, this.#height * 0.31, this.#height * 0.2];
    const angle = (seconds % 1) * 2 * Math.PI - Math.PI / 2;
    this.#pen.lineCap = "round";
    this.#arc(x, y, radius, 0, 2 * Math.PI, "#2b353d");
    this.#arc(x, y, radius, -Math.PI / 2, angle, "#4cc9bd");
    this.#disc(x + radius * Math.cos(angle), y + radius * Math.sin(angle), this.#height * 0.028, "#ffffff");
  }

  #drawRunner(seconds) {
    const radius = this.#height * 0.045;
    const way = 0.5 - 0.5 * Math.cos((seconds * Math.PI) / 2); // There and back in four seconds.
    this.#disc(radius * 1.5 + way * (this.#width - radius * 3), this.#height * 0.86, radius, "#f2b84b");
  }

  #drawTimecode(frame, color, soft) {
    const seconds = Math.floor(frame / this.#rate);
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60, frame % this.#rate];
    const timecode = parts.map((part) => String(part).padStart(2, "0")).join(":");
    this.#text(timecode, 0.12, 0.67, color);
    this.#text(`${new Date().toISOString().slice(11, 23)} UTC`, 0.045, 0.765, soft);
  }

  #arc(x, y, radius, from, to, color) {
    this.#pen.beginPath();
    this.#pen.arc(x, y, radius, from, to);
    this.#pen.lineWidth = this.#height * 0.022;
    this.#pen.strokeStyle = color;
    this.#pen.stroke();
  }

  #disc(x, y, radius, color) {
    this.#pen.beginPath();
    this.#pen.arc(x, y, radius, 0, 2 * Math.PI);
    this.#pen.fillStyle = color;
    this.#pen.fill();
  }

  #text(text, size, baseline, color) {
    this.#pen.font = `600 ${Math.round(this.#height * size)}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace`;
    this.#pen.textAlign = "center";
    this.#pen.fillStyle = color;
    this.#pen.fillText(text, this.#width / 2, this.#height * baseline);
  }
}
