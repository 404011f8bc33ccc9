// Where picture and sound come from. Each source opens to one video and one audio track: where there is no
// sound, silence is sent, so that sound can come later by switching the source, without a new offer.

import { MovingPicture } from "./picture.js";

/** A source could not be opened. `kind` is what was asked for, `cause` the browser's own error. */
export class SourceError extends Error {
  constructor(kind, cause) {
    super(cause?.name ?? "SourceError", { cause });
    this.kind = kind;
  }
}

const OPENERS = { camera: openCamera, screen: openScreen, picture: openPicture };

let context = null;

/** The page's one audio graph. It is never heard here. */
function audioContext() {
  context ??= new AudioContext({ sampleRate: 48000 });
  context.resume().catch(() => {}); // Held back until the first click: wakeSound() asks again.
  return context;
}

/** To be called on a click or key press: browsers keep generated sound silent before one. */
export function wakeSound() {
  if (context?.state === "suspended") context.resume().catch(() => {});
}

/** Whether generated sound waits for a click. */
export function soundIsHeldBack() {
  return context?.state === "suspended";
}

/** Without a secure page the browser offers no devices at all. */
export async function hasCamera() {
  try {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.some((device) => device.kind === "videoinput");
  } catch {
    return false;
  }
}

/**
 * Opens the source `kind`: `{kind, stream, note, stop()}`, where `stream` holds one video and one audio track.
 * Raises SourceError. The caller stops it.
 */
export async function openSource(kind, settings) {
  try {
    return await OPENERS[kind](settings);
  } catch (error) {
    throw new SourceError(kind, error);
  }
}

async function openCamera({ microphone, width, height, frameRate }) {
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate } };
  try {
    return assemble("camera", [await devices().getUserMedia({ video, audio: microphone })], "motion");
  } catch (error) {
    if (!microphone || error.name !== "NotFoundError") throw error;
    const stream = await devices().getUserMedia({ video }); // Perhaps only the microphone is missing.
    return assemble("camera", [stream], "motion", "No microphone was found: silence is sent.");
  }
}

async function openScreen({ microphone, width, height, frameRate }) {
  const video = { width: { max: width }, height: { max: height }, frameRate: { max: frameRate } };
  const screen = await devices().getDisplayMedia({ video, audio: true });
  if (!microphone) return assemble("screen", [screen], "detail");
  try {
    return assemble("screen", [screen, await devices().getUserMedia({ audio: true })], "detail");
  } catch {
    return assemble("screen", [screen], "detail", "The microphone could not be opened: it is not sent.");
  }
}

function openPicture(settings) {
  const picture = new MovingPicture(settings, audioContext());
  picture.videoTrack.contentHint = "motion";
  const stream = new MediaStream([picture.videoTrack, picture.audioTrack]);
  return { kind: "picture", stream, note: "", stop: () => picture.stop() };
}

function devices() {
  if (!navigator.mediaDevices) throw new DOMException("This page is not secure.", "SecurityError");
  return navigator.mediaDevices;
}

function assemble(kind, captured, contentHint, note = "") {
  const tracks = captured.flatMap((stream) => stream.getTracks());
  const video = tracks.find((track) => track.kind === "video");
  const sound = joinSound(tracks.filter((track) => track.kind === "audio"));
  video.contentHint = contentHint;
  const stop = () => {
    sound.release();
    for (const track of tracks) track.stop();
  };
  return { kind, stream: new MediaStream([video, sound.track]), note, stop };
}

/** One track of any number: a lone track as it is, several mixed, none as silence. */
function joinSound(tracks) {
  if (tracks.length === 1) return { track: tracks[0], release: () => {} };
  const mixer = audioContext();
  const output = mixer.createMediaStreamDestination();
  // An output that nothing feeds sends nothing at all, not even silence.
  const silence = new ConstantSourceNode(mixer, { offset: 0 });
  const inputs = [silence, ...tracks.map((track) => mixer.createMediaStreamSource(new MediaStream([track])))];
  for (const input of inputs) input.connect(output);
  silence.start();
  const [track] = output.stream.getAudioTracks();
  const release = () => {
    silence.stop();
    for (const input of inputs) input.disconnect();
    track.stop();
  };
  return { track, release };
}
