// What goes out: a sender for each picture and one for the sound, with their limits. Each picture is a media
// description of its own, which the server calls an input and knows by its mid.
//
// A picture's bitrate is the lesser of what the person set and what the server asks of this input, as the
// session's status tells. The browser hears of limits by REMB, too, but applies them to all pictures together,
// and so could not hold one back for the sake of another.
//
// With simulcast (RFC 8853) each picture goes out in three sizes, of which the server takes one. The first is
// the largest: it is the one that is left where a server does not take the others.

import { preferH264 } from "./offer.js";

// `share`: of the bitrate that the person set, which is that of the largest.
const LAYERS = [
  { rid: "h", scaleResolutionDownBy: 1, share: 1 },
  { rid: "m", scaleResolutionDownBy: 2, share: 0.4 },
  { rid: "l", scaleResolutionDownBy: 4, share: 0.15 },
];
const SHARES = new Map(LAYERS.map(({ rid, share }) => [rid, share]));

export class Senders {
  #videos; // Transceivers, in the order of the offer.
  #audio;
  #wishes = {};
  #asked = new Map(); // By mid: `{bitrate, isShown}`.
  #turn = Promise.resolve(); // A sender's parameters are read, changed and set by one at a time.

  /** Adds `{audio, videos}`, tracks, to the connection. Raises WhipError where H.264 cannot be sent. */
  constructor(connection, { audio, videos }, { simulcast = false } = {}) {
    const streams = [new MediaStream([audio, ...videos])]; // RFC 9725 section 4.4.2: all of one MediaStream.
    const init = { direction: "sendonly", streams };
    const sendEncodings = LAYERS.map(({ rid, scaleResolutionDownBy }) => ({ rid, scaleResolutionDownBy }));
    this.#audio = connection.addTransceiver(audio, init);
    this.#videos = videos.map((track) => connection.addTransceiver(track, simulcast ? { ...init, sendEncodings } : init));
    for (const transceiver of this.#videos) preferH264(transceiver);
  }

  /** The mids of the pictures, in their order; null before the offer is in force. */
  get mids() {
    return this.#videos.map(({ mid }) => mid);
  }

  /** Sends another track as the picture at `place`, or nothing (null), without a new offer. */
  async replaceVideo(place, track) {
    await this.#videos[place]?.sender.replaceTrack(track);
  }

  async replaceAudio(track) {
    await this.#audio.sender.replaceTrack(track);
  }

  /** New upper limits: `videoBitrate`, `audioBitrate` in bit/s, `frameRate`; what is not given stays. */
  limit({ videoBitrate, audioBitrate, frameRate }) {
    const given = Object.entries({ videoBitrate, audioBitrate, frameRate }).filter(([, value]) => value);
    this.#wishes = { ...this.#wishes, ...Object.fromEntries(given) };
    return this.#applyAll();
  }

  /** What the server asks of each picture: `inputs`, of which one is on air and one may be `wanted` there. */
  obey(inputs, wanted = null) {
    const asked = inputs.map(({ mid, asked_bitrate: bitrate, on_air: isOnAir }) => {
      return [mid, { bitrate, isShown: isOnAir || mid === wanted }];
    });
    this.#asked = new Map(asked);
    return this.#applyAll();
  }

  #applyAll() {
    const turn = this.#turn.then(async () => {
      for (const { mid, sender } of this.#videos) await this.#apply(sender, (one) => this.#videoLimits(one, this.#asked.get(mid)));
      await this.#apply(this.#audio.sender, () => ({ maxBitrate: this.#wishes.audioBitrate }));
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** Off the air the server wants little: then only the smallest layer is sent. */
  #videoLimits({ rid }, { bitrate = null, isShown = true } = {}) {
    const own = this.#wishes.videoBitrate && Math.round(this.#wishes.videoBitrate * (SHARES.get(rid) ?? 1));
    return {
      maxBitrate: bitrate === null ? own : Math.min(bitrate, own ?? Infinity),
      maxFramerate: this.#wishes.frameRate,
      active: !rid || isShown || bitrate === null || rid === LAYERS.at(-1).rid,
    };
  }

  async #apply(sender, limitsOf) {
    const parameters = sender.getParameters();
    let isNew = false;
    for (const encoding of parameters.encodings ?? []) {
      for (const [name, value] of Object.entries(limitsOf(encoding))) {
        if (value === undefined || encoding[name] === value) continue;
        encoding[name] = value;
        isNew = true;
      }
    }
    if (isNew) await sender.setParameters(parameters);
  }
}
