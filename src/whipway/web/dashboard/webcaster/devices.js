// Which cameras and microphones there are. Before the browser was allowed to use any, it tells neither their ids nor
// their names; a page that is not secure learns of none at all.

// Chromium lists the system's choice beside the device that it is: here no choice at all stands for it.
const STAND_INS = new Set(["default", "communications"]);
const OPPOSITE = { user: "environment", environment: "user" };
const KEYS = { camera: "whipway.camera", microphone: "whipway.microphone" };

/** `[{id, name, facing}]`; `facing`: "user", "environment" or "" where the browser does not tell. */
export function listCameras() {
  return list("videoinput");
}

export function listMicrophones() {
  return list("audioinput");
}

async function list(kind) {
  const every = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
  const devices = every.filter((device) => device.kind === kind && !STAND_INS.has(device.deviceId));
  return withOwnNames(devices.map((device) => ({ id: device.deviceId, name: device.label, facing: facingOf(device) })));
}

function facingOf(device) {
  return device.getCapabilities?.().facingMode?.[0] ?? "";
}

/** Two of the same make are told apart by number. */
function withOwnNames(devices) {
  const seen = new Map();
  return devices.map((device) => {
    const number = (seen.get(device.name) ?? 0) + 1;
    seen.set(device.name, number);
    return number === 1 ? device : { ...device, name: `${device.name} (${number})` };
  });
}

export async function hasCamera() {
  return (await listCameras()).length > 0;
}

/** What a track comes from, as the lists name it: "" stands for the system's choice. */
export function deviceOf(track) {
  const { deviceId = "" } = track.getSettings();
  return STAND_INS.has(deviceId) ? "" : deviceId;
}

/** Calls `onChange()` whenever a device was plugged in or pulled out. */
export function watchDevices(onChange) {
  navigator.mediaDevices?.addEventListener("devicechange", onChange);
}

/** Has the browser ask the person, so that it tells names from then on. Raises its error. */
export async function askForNames() {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true })
    .catch((error) => {
      if (error.name !== "NotFoundError") throw error;
      return navigator.mediaDevices.getUserMedia({ video: true }); // Perhaps only the microphone is missing.
    });
  for (const track of stream.getTracks()) track.stop();
}

/** The camera after `present`, an id; on a phone one that looks the other way. Null when there is no other. */
export function nextCamera(cameras, present, taken) {
  const at = cameras.findIndex(({ id }) => id === present);
  const others = [...cameras.slice(at + 1), ...cameras.slice(0, Math.max(at, 0))].filter(({ id }) => id && id !== taken);
  const back = OPPOSITE[cameras[at]?.facing];
  return others.find(({ facing }) => facing && facing === back) ?? others[0] ?? null;
}

/** What the person chose last time, `{id, name}`, or null. `kind`: "camera" or "microphone". */
export function rememberedDevice(kind) {
  try {
    const { id, name } = JSON.parse(localStorage.getItem(KEYS[kind])) ?? {};
    return id && name ? { id: String(id), name: String(name) } : null;
  } catch {
    return null;
  }
}

/** `device`: null when the choice is left to the browser. */
export function rememberDevice(kind, device) {
  try {
    if (device) localStorage.setItem(KEYS[kind], JSON.stringify({ id: device.id, name: device.name }));
    else localStorage.removeItem(KEYS[kind]);
  } catch {
    // Storage is switched off or full: the choice is simply not remembered.
  }
}
