// What the browser is asked for, so that it gives the camera, the microphone or the screen that the person wants.

import { listCameras, listMicrophones } from "./devices.js";

const BUSY = "NotReadableError";

/** A stream of the camera, and of the microphone if `withSound`. `taken`: a camera that must not be it. */
export async function captureCamera(settings, taken, withSound = false) {
  const video = await cameraWish(settings, taken);
  return devices().getUserMedia({ video, audio: withSound && await microphoneWish(settings) });
}

export async function captureMicrophone(settings) {
  const stream = await devices().getUserMedia({ audio: await microphoneWish(settings) });
  return stream.getAudioTracks()[0];
}

/** A stream of what the person chooses in the browser, with its sound if there is any. */
export function captureScreen({ width, height, frameRate }, withSound) {
  const video = { width: { max: width }, height: { max: height }, frameRate: { max: frameRate } };
  return devices().getDisplayMedia(withSound ? { video, audio: true } : { video });
}

/**
 * The camera that is to come in place of `present`, a track: `{track, trouble}`.
 *
 * Phones open one camera at a time. There the present one is let go first; if the other does not open then, it comes
 * back as `track`, and the browser's error is `trouble`. If not even that works, the error of it is raised.
 */
export async function captureOtherCamera(present, settings, taken) {
  const wish = await cameraWish(settings, taken);
  try {
    return { track: await captureVideo(wish), trouble: null };
  } catch (error) {
    if (error.name !== BUSY) throw error;
  }
  const { deviceId } = present.getSettings();
  present.stop();
  try {
    return { track: await captureVideo(wish), trouble: null };
  } catch (trouble) {
    return { track: await captureVideo({ ...wish, deviceId: { exact: deviceId } }), trouble };
  }
}

async function captureVideo(video) {
  return (await devices().getUserMedia({ video })).getVideoTracks()[0];
}

async function cameraWish({ width, height, frameRate, camera }, taken) {
  const size = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: frameRate } };
  const cameras = await listCameras();
  if (camera && camera !== taken) return { ...size, deviceId: deviceWish(camera, cameras) };
  return taken ? { ...size, deviceId: { exact: otherThan(taken, cameras) } } : size;
}

async function microphoneWish({ microphoneDevice }) {
  return microphoneDevice ? { deviceId: deviceWish(microphoneDevice, await listMicrophones()) } : true;
}

/** Of a device that is only remembered, nobody knows whether it is there: any other is better than none. */
function deviceWish(wanted, known) {
  return known.some(({ id }) => id === wanted) ? { exact: wanted } : { ideal: wanted };
}

function otherThan(taken, cameras) {
  const other = cameras.find(({ id }) => id && id !== taken);
  if (!other) throw new DOMException("There is no other camera.", "NotFoundError");
  return other.id;
}

function devices() {
  if (!navigator.mediaDevices) throw new DOMException("This page is not secure.", "SecurityError");
  return navigator.mediaDevices;
}
