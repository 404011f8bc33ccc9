// The page's elements and what they show in each state. It decides nothing.

import { durationWords } from "../shared/words.js";

const IDS = [
  "source", "microphone", "stream-name", "stream-url", "resolution", "frame-rate", "video-bitrate", "audio-bitrate",
  "token", "access", "settings", "start", "stop", "mute-video", "mute-audio", "preview", "placeholder", "badge",
  "elapsed", "status", "headline", "detail", "figures", "warnings", "sinks", "sinks-hint", "sinks-news", "sink-row",
  "audio", "play-url", "play-hint", "copy-play", "whip-url", "server-version", "copied", "stream-name-hint",
  "stream-url-hint",
  "also", "also-hint", "filler", "simulcast", "muted-note", "inputs-panel", "inputs", "inputs-hint", "inputs-news", "inputs-trouble",
  "input-row", "light", "light-words", "light-reasons", "cap", "layer", "keyframe", "limit-words", "measured",
  "quality-news", "quality-trouble", "camera", "microphone-device", "devices-hint", "name-devices", "switch-camera", "level",
  "level-words", "microphone-meter", "microphone-level", "microphone-level-words", "sound-words", "assigned", "assigned-words",
  "assigned-name", "assigned-link",
];

// Fixed from the moment a stream is under way; source and bitrates can change while it is live.
const FIXED = ["stream-name", "stream-url", "audio", "filler", "resolution", "frame-rate", "simulcast", "token"];
const CHANGEABLE = ["source", "video-bitrate", "audio-bitrate"];
const AT_REST = new Set(["idle", "stopped", "failed"]);
const PROBLEM_FIELDS = {
  stream_name: "stream-name", stream_url: "stream-url", audio: "audio", audio_bitrate: "audio-bitrate", filler: "filler",
};
const COPIED_MS = 2_000;
const BADGE_TOLERANCE_MS = 1_500; // What is heard once a second, and later or sooner, must not make the badge jump.

export const elements = Object.fromEntries(IDS.map((id) => [id, document.getElementById(id)]));

const FURTHER_HINTS = {
  free: "One more picture. While live you choose which of them is on air.",
  sent: "You can change it while live, and put it on air above.",
  late: "To be chosen before the start.",
  refused: "This server takes one picture only.",
};

const further = { isTaken: true, isSent: false }; // One more picture: by the server, as far as is known; by us now.
const LOCKED = ["stream-name", "stream-url"]; // Where the dashboard names the stream.

let camerasCanSwitch = false;
let onAirSince = 0;
let badgeTimer = 0;
let focusToReturn = false; // Stop had the focus: when it is switched off, Start gets it.

/** Shows the state, its headline and its detail; figures and warnings belong to the state before and go. */
export function showState(state, [headline, detail]) {
  elements.status.dataset.state = state;
  setText("headline", headline);
  setText("detail", detail);
  setText("figures", "");
  setText("warnings", "");
  unlockControls(state);
}

export function setText(id, text) {
  if (elements[id].textContent !== text) elements[id].textContent = text;
}

function unlockControls(state) {
  const atRest = AT_REST.has(state);
  const focused = document.activeElement;
  if (focused === elements.stop) focusToReturn = true;
  for (const id of FIXED) elements[id].disabled = !atRest;
  for (const id of CHANGEABLE) elements[id].disabled = !atRest && state !== "live";
  unlockDevices();
  unlockFurther(state);
  elements.start.disabled = !atRest;
  elements.stop.disabled = atRest || state === "stopping";
  elements["mute-video"].disabled = elements["mute-audio"].disabled = state !== "live";
  // A button that has just been switched off would take the keyboard's place in the page with it.
  if (focused === elements.start && !atRest) elements.stop.focus();
  if (!atRest || !focusToReturn) return;
  focusToReturn = false;
  if (document.activeElement === elements.stop || document.activeElement === document.body) elements.start.focus();
}

/** `{isTaken, isSent}`, or one of them: whether servers take one more picture, and whether one is sent now. */
export function noteFurther(facts) {
  Object.assign(further, facts);
  unlockFurther(elements.status.dataset.state);
}

/** The offer says how many pictures there are: later, one can be changed, but not added. */
function unlockFurther(state) {
  const atRest = AT_REST.has(state);
  if (atRest && !further.isTaken) elements.also.value = "";
  elements.also.disabled = atRest ? !further.isTaken : !further.isSent || state !== "live";
  const [isFree, isSent] = [further.isTaken ? "free" : "refused", further.isSent ? "sent" : "late"];
  setText("also-hint", FURTHER_HINTS[atRest ? isFree : isSent]);
}

/** The test picture brings its own sound, so the microphone is no question there; nor is a camera that is not sent. */
export function unlockDevices() {
  const { state } = elements.status.dataset;
  const isFree = AT_REST.has(state) || state === "live";
  const hasOwnSound = elements.source.value === "picture";
  const sendsCamera = ["camera", ""].includes(elements.source.value) || elements.also.value === "camera";
  elements.microphone.disabled = !AT_REST.has(state) || hasOwnSound;
  elements["microphone-device"].disabled = !isFree || hasOwnSound || !elements.microphone.checked;
  elements.camera.disabled = !isFree || !sendsCamera;
  elements["switch-camera"].hidden = !(state === "live" && camerasCanSwitch);
}

/** `canSwitch`: a camera is in use, and there is another one. */
export function noteCameras({ canSwitch }) {
  camerasCanSwitch = canSwitch;
  unlockDevices();
}

/** Which stream is published is not for the person to say; `hint` says why. */
export function lockTarget(hint) {
  for (const id of LOCKED) {
    elements[id].readOnly = true;
    setText(`${id}-hint`, hint);
  }
}

/** `name`: of the stream, may be empty; `link`: `{address, words}`. */
export function showAssigned({ words, name = "", link }) {
  elements.assigned.hidden = false;
  setText("assigned-words", words);
  setText("assigned-name", name);
  setText("assigned-link", link.words);
  elements["assigned-link"].href = link.address;
}

/** `source`: null when there is none. One that is shown already goes on undisturbed. */
export function showPreview(source) {
  const tracks = source?.stream.getVideoTracks() ?? [];
  if (elements.preview.srcObject?.getVideoTracks()[0] === tracks[0]) return;
  elements.preview.dataset.source = source?.kind ?? "";
  elements.preview.srcObject = source && new MediaStream(tracks);
  elements.placeholder.hidden = source !== null;
}

/** `seconds`: how long the stream has been on air; null takes the badge away. It counts on by itself. */
export function showBadge(seconds) {
  elements.badge.hidden = seconds === null;
  if (seconds === null) {
    clearInterval(badgeTimer);
    badgeTimer = 0;
    return;
  }
  const since = performance.now() - seconds * 1000;
  if (!badgeTimer || Math.abs(since - onAirSince) > BADGE_TOLERANCE_MS) onAirSince = since;
  badgeTimer ||= setInterval(showElapsed, 1000);
  showElapsed();
}

function showElapsed() {
  setText("elapsed", durationWords((performance.now() - onAirSince) / 1000));
}

export function showMuted(kind, muted) {
  elements[`mute-${kind}`].setAttribute("aria-pressed", String(muted));
  if (kind === "video") elements["muted-note"].hidden = !muted;
}

/** `url` and the command that plays it; null when there is nothing to play. */
export function showPlayUrl(url, command) {
  elements["copy-play"].disabled = url === null;
  setText("play-url", url ?? "");
  setText("play-hint", url ? `Try: ${command}` : "The address to play appears here once you are live.");
}

/** Marks the field a problem document names. The token's place is shown once one is asked for (401, `needsToken`). */
export function markField({ status, problem, needsToken }) {
  elements[PROBLEM_FIELDS[problem?.parameter]]?.setAttribute("aria-invalid", "true");
  if (status === 401 || needsToken) {
    elements.access.hidden = false;
    elements.access.open = true;
  }
}

/** The first field whose value the form does not take, or null. */
export function firstInvalidField() {
  return elements.settings.querySelector("input:invalid, select:invalid");
}

export function unmarkFields() {
  for (const id of Object.values(PROBLEM_FIELDS)) elements[id].removeAttribute("aria-invalid");
}

/** Copies the text of the element the button names, and says so on the button for a moment. */
export async function copyFrom(button) {
  const source = document.getElementById(button.dataset.copies);
  const copied = await copyText(source);
  button.textContent = copied ? "Copied" : "Selected";
  setText("copied", copied ? "Address copied" : "Address selected: copy it with your keyboard");
  setTimeout(() => {
    button.textContent = "Copy";
    setText("copied", "");
  }, COPIED_MS);
}

async function copyText(source) {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    // Pages that are not secure have no clipboard; the old way needs a selection.
    getSelection().selectAllChildren(source);
    return document.execCommand("copy");
  }
}
