// Where picture and sound come from. Each source opens to one video and one audio track: where there is no
// sound, silence is sent, so that sound can come later by switching the source, without a new offer. A further
// source is a picture alone: the sound of a stream comes from one place.

import { MovingPicture } from "./picture.js";

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
 * `taken`: the camera that is in use for the other source, if any (see `cameraOf`). Raises SourceError. The
 * caller stops it.
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

/** The id of the camera that a source uses, or "". */
export function cameraOf(source) {
  return source?.kind === "camera" ? source.stream.getVideoTracks()[0].getSettings().deviceId ?? "" : "";
}

async function openCamera({ microphone, ...settings }, taken) {
  const video = await cameraWish(settings, taken);
  try {
    return assemble("camera", [await devices().getUserMedia({ video, audio: microphone })], "motion");
  } catch (error) {
    if (!microphone || error.name !== "NotFoundError") throw error;
    const stream = await devices().getUserMedia({ video }); // Perhaps only the microphone is missing.
    return assemble("camera", [stream], "motion", "No microphone was found: silence is sent.");
  }
}

async function cameraWish({ width, height, frameRate }, taken) {
  const wish = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate } };
  return taken ? { ...wish, deviceId: { exact: await otherCamera(taken) } } : wish;
}

async function otherCamera(taken) {
  const cameras = (await devices().enumerateDevices()).filter(({ kind }) => kind === "videoinput");
  const other = cameras.find(({ deviceId }) => deviceId && deviceId !== taken);
  if (!other) throw new DOMException("There is no other camera.", "NotFoundError");
  return other.deviceId;
}

async function openFurtherCamera(settings, taken) {
  const video = await cameraWish(settings, taken);
  return pictureAlone("camera", await devices().getUserMedia({ video }), "motion");
}

async function openFurtherScreen(settings) {
  return pictureAlone("screen", await devices().getDisplayMedia({ video: screenWish(settings) }), "detail");
}

function pictureAlone(kind, stream, contentHint) {
  const [track] = stream.getVideoTracks();
  track.contentHint = contentHint;
  return { kind, stream, note: "", stop: () => track.stop() };
}

function screenWish({ width, height, frameRate }) {
  return { width: { max: width }, height: { max: height }, frameRate: { max: frameRate } };
}

async function openScreen({ microphone, ...settings }) {
  const screen = await devices().getDisplayMedia({ video: screenWish(settings), audio: true });
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

/** Its sound is made as well, since the picture keeps time by it, and goes nowhere. */
function openFurtherPicture(settings) {
  const picture = new MovingPicture(settings, audioContext(), "second");
  const stream = new MediaStream([picture.videoTrack]);
  return { ...pictureAlone("picture", stream, "motion"), stop: () => picture.stop() };
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
