// The choice of camera and microphone by name, kept up with what is plugged in. While live a menu shows the device
// that is in use; at rest the one that the person chose last, as far as it is there.

import {
  askForNames, deviceOf, listCameras, listMicrophones, nextCamera, rememberDevice, rememberedDevice, watchDevices,
} from "./devices.js";
import { elements, noteCameras, setText } from "./view.js";
import { NAMES_ARE_KNOWN, NAMES_ARE_UNKNOWN, namesRefusedWords } from "./wording.js";

const FIELDS = { camera: "camera", microphone: "microphone-device" };
const ANY = { camera: "Any camera", microphone: "The usual microphone" };
const KINDS = Object.keys(FIELDS);

let known = { camera: [], microphone: [] };
let used = {}; // By kind: an id; null where it is lost. Of what is not sent there is none.
let taken = ""; // A camera that the other source uses.

/** `onChoice(kind)` is called when the person has chosen another one. */
export function bindDevices(onChoice) {
  const chosen = (kind) => {
    const { value } = elements[FIELDS[kind]];
    rememberDevice(kind, known[kind].find(({ id }) => id === value) ?? null);
    onChoice(kind);
  };
  for (const kind of KINDS) elements[FIELDS[kind]].addEventListener("change", () => chosen(kind));
  elements["name-devices"].addEventListener("click", showNames);
  elements["switch-camera"].addEventListener("click", () => {
    elements.camera.value = nextCamera(known.camera, elements.camera.value, taken).id;
    chosen("camera");
  });
  watchDevices(refreshDevices);
}

export async function refreshDevices() {
  const [camera, microphone] = await Promise.all([listCameras(), listMicrophones()]);
  known = { camera, microphone };
  show();
}

/** From now on, these devices are in use. `lineup`: null at rest. */
export function showDevicesOf(lineup) {
  const place = lineup?.cameraPlace ?? -1;
  const parts = lineup?.main?.parts;
  used = {};
  if (place >= 0) used.camera = lineup.hasLost(place) ? null : deviceOf(lineup.at(place).parts.video);
  if (parts && elements.microphone.checked) used.microphone = parts.microphone && deviceOf(parts.microphone);
  taken = place < 0 ? "" : lineup.takenAt(place);
  show();
  refreshDevices(); // Names are told from the first use on.
}

function show() {
  for (const kind of KINDS) fill(kind);
  const isNamed = KINDS.every((kind) => known[kind].every(({ name }) => name));
  elements["name-devices"].hidden = isNamed;
  setText("devices-hint", isNamed ? NAMES_ARE_KNOWN : NAMES_ARE_UNKNOWN);
  noteCameras({ canSwitch: used.camera !== undefined && nextCamera(known.camera, used.camera, taken) !== null });
}

function fill(kind) {
  const field = elements[FIELDS[kind]];
  const named = known[kind].filter(({ id, name }) => id && name);
  const remembered = rememberedDevice(kind);
  const isOnlyRemembered = named.length === 0 && remembered && used[kind] === undefined;
  const devices = [{ id: "", name: ANY[kind] }, ...named, ...(isOnlyRemembered ? [remembered] : [])];
  const value = valueOf(kind, devices, remembered, field.value);
  if (!isSame(field.options, devices)) field.replaceChildren(...devices.map(({ id, name }) => new Option(name, id)));
  for (const option of field.options) option.disabled = kind === "camera" && taken !== "" && option.value === taken;
  if (value === null) field.selectedIndex = -1; // So that any can be chosen, the same one too.
  else field.value = value;
}

function valueOf(kind, devices, remembered, present) {
  const isThere = (wanted) => devices.some(({ id }) => id === wanted);
  if (used[kind] !== undefined) return used[kind] === null || isThere(used[kind]) ? used[kind] : "";
  if (remembered && isThere(remembered.id)) return remembered.id;
  // Some browsers give a device another id each time.
  const namesake = devices.find(({ id, name }) => id && name === remembered?.name);
  return namesake?.id ?? (isThere(present) ? present : "");
}

function isSame(options, devices) {
  return options.length === devices.length
    && devices.every(({ id, name }, index) => options[index].value === id && options[index].text === name);
}

async function showNames() {
  try {
    await askForNames();
    await refreshDevices();
  } catch (error) {
    setText("devices-hint", namesRefusedWords(error));
  }
}
