// Where picture and sound come from. Each source opens to one video and one audio track: where there is no
// sound, silence is sent, so that sound can come later by switching the source, without a new offer. A further
// source is a picture alone: the sound of a stream comes from one place.
//
// A source is `{kind, stream, note, parts, stop(next)}`. `parts` are the tracks that devices gave, `{video, sounds,
// microphone}` (`sounds`: of the screen; the microphone may be null), or null where the page makes it all by itself.
// One part can be exchanged: that makes another source, with which the first one shares the rest; `stop(next)` leaves
// to `next` what it has.

import { captureCamera, captureMicrophone, captureOtherCamera, captureScreen } from "./capture.js";
import { MovingPicture } from "./picture.js";
import { audioContext, joinSound } from "./sound.js";

/** A source could not be opened. `kind` is what was asked for, `cause` the browser's own error. */
export class SourceError extends Error {
  constructor(kind, cause, isFurther = false) {
    super(cause?.name ?? "SourceError", { cause });
    this.kind = kind;
    this.isFurther = isFurther;
  }
}

const OPENERS = { camera: openCamera, screen: openScreen, picture: openPicture };
const FURTHER_OPENERS = { camera: openFurtherCamera, screen: openFurtherScreen, picture: openFurtherPicture };
const HINTS = { camera: "motion", screen: "detail", picture: "motion" };

/**
 * Opens the source `kind`, whose `stream` holds one video and one audio track. `taken`: the camera that is in use for
 * the other source, if any (see `cameraOf`). Raises SourceError. The caller stops it.
 */
export async function openSource(kind, settings, taken = "") {
  try {
    return await OPENERS[kind](settings, taken);
  } catch (error) {
    throw new SourceError(kind, error);
  }
}

/** The same of a further source: its `stream` holds one video track and nothing else. */
export async function openFurtherSource(kind, settings, taken = "") {
  try {
    return await FURTHER_OPENERS[kind](settings, taken);
  } catch (error) {
    throw new SourceError(kind, error, true);
  }
}

/** `source`, a camera, with another one: `{source, trouble}`; `trouble`: a SourceError if it is the same once more. */
export async function exchangeCamera(source, settings, taken = "") {
  const { isFurther } = source;
  try {
    const { track, trouble } = await captureOtherCamera(source.parts.video, settings, taken);
    const parts = { ...source.parts, video: track };
    return { source: assemble(source.kind, parts, source), trouble: trouble && new SourceError("camera", trouble, isFurther) };
  } catch (error) {
    throw new SourceError("camera", error, isFurther);
  }
}

/** `source` with another microphone, or with none and so perhaps with silence. Raises SourceError. */
export async function exchangeMicrophone(source, settings) {
  try {
    const microphone = settings.microphone ? await captureMicrophone(settings) : null;
    return { source: assemble(source.kind, { ...source.parts, microphone }), trouble: null };
  } catch (error) {
    throw new SourceError("microphone", error);
  }
}

/** The id of the camera that a source uses, or "". */
export function cameraOf(source) {
  return source?.kind === "camera" ? source.parts.video.getSettings().deviceId ?? "" : "";
}

async function openCamera({ microphone, ...settings }, taken) {
  try {
    return assemble("camera", partsOf(await captureCamera(settings, taken, microphone)));
  } catch (error) {
    if (!microphone || error.name !== "NotFoundError") throw error;
    const stream = await captureCamera(settings, taken); // Perhaps only the microphone is missing.
    return assemble("camera", partsOf(stream), { note: "No microphone was found: silence is sent." });
  }
}

async function openFurtherCamera(settings, taken) {
  return assemble("camera", partsOf(await captureCamera(settings, taken)), { isFurther: true });
}

async function openFurtherScreen(settings) {
  return assemble("screen", partsOf(await captureScreen(settings, false)), { isFurther: true });
}

async function openScreen({ microphone, ...settings }) {
  const screen = await captureScreen(settings, true);
  const parts = { ...partsOf(screen), sounds: screen.getAudioTracks(), microphone: null };
  if (!microphone) return assemble("screen", parts);
  try {
    return assemble("screen", { ...parts, microphone: await captureMicrophone(settings) });
  } catch {
    return assemble("screen", parts, { note: "The microphone could not be opened: it is not sent." });
  }
}

function openPicture(settings) {
  const picture = new MovingPicture(settings, audioContext());
  return generated(picture, [picture.videoTrack, picture.audioTrack]);
}

/** Its sound is made as well, since the picture keeps time by it, and goes nowhere. */
function openFurtherPicture(settings) {
  const picture = new MovingPicture(settings, audioContext(), "second");
  return generated(picture, [picture.videoTrack]);
}

function generated(picture, tracks) {
  picture.videoTrack.contentHint = HINTS.picture;
  return { kind: "picture", stream: new MediaStream(tracks), note: "", parts: null, stop: () => picture.stop() };
}

/** Of a stream of the camera, perhaps with the microphone. */
function partsOf(stream) {
  return { video: stream.getVideoTracks()[0], sounds: [], microphone: stream.getAudioTracks()[0] ?? null };
}

function assemble(kind, parts, { note = "", isFurther = false } = {}) {
  const { video, sounds, microphone } = parts;
  const captured = [video, ...sounds, microphone].filter(Boolean);
  const sound = isFurther ? null : joinSound(captured.slice(1));
  video.contentHint = HINTS[kind];
  const stop = (next = null) => {
    sound?.release();
    const kept = Object.values(next?.parts ?? {}).flat();
    for (const track of captured) if (!kept.includes(track)) track.stop();
  };
  const stream = new MediaStream(sound ? [video, sound.track] : [video]);
  return { kind, stream, note, parts, isFurther, stop };
}
