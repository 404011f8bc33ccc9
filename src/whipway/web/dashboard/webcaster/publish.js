// The publishing page: joins the form, the sources, the WHIP client and the view. One stream at a time.

import { AssignedView } from "./assigned_view.js";
import { bindDevices, refreshDevices, showDevicesOf } from "./device_menus.js";
import { hasCamera } from "./devices.js";
import { bindInputs, clearInputs } from "./inputs_view.js";
import { FURTHER, Lineup, MAIN } from "./lineup.js";
import { LiveChanges, SOURCE_FIELDS } from "./live_changes.js";
import { Meters } from "./meters.js";
import { showLevel, showSound } from "./meters_view.js";
import { bindQuality, clearQuality } from "./quality_view.js";
import {
  applyQuery, bitrateOf, playCommand, playUrl, readServer, readSettings, readTransportPolicy, rememberStreamName, rememberedStreamName,
  streamParameters, whipUrl,
} from "./settings.js";
import { airOf, sinksOf } from "../shared/sink_wording.js";
import { clearSinks, showSinks, showSinksAsOld } from "./sinks_view.js";
import { soundIsHeldBack, wakeSound } from "./sound.js";
import { Steering } from "./steering.js";
import {
  copyFrom, elements, firstInvalidField, markField, noteFurther, setText, showBadge, showMuted, showPlayUrl, showPreview,
  showState, unlockDevices, unmarkFields,
} from "./view.js";
import { WhipClient } from "./whip_client.js";
import {
  ASSIGNED, CAMERA_LOST, MICROPHONE_LOST, PHASES, PREPARING, SOURCE_GONE, failureWords, fieldWords, liveWords, mutedWords,
  notChangedWords, warningWords,
} from "./wording.js";

const ENDPOINT = new URL("p/webrtc", document.baseURI).href;
const UNKNOWN = { air: "", headline: PHASES.live[0], seconds: null };
const UNAUTHENTICATED = 401;
const STREAM = new URLSearchParams(location.search).get("stream");

const assigned = STREAM ? new AssignedView(STREAM) : null; // The dashboard chose what is published.
const meters = new Meters(showReading);

let attempt = 0; // Grows with each start and stop: whatever belongs to an older one is not shown any more.
let client = null;
let lineup = null;
let changes = null; // As long as there is a lineup.
let steering = null; // Once it was live.
let air = UNKNOWN; // As far as the server has told.
let placeOnAir = MAIN;

async function start() {
  const mine = ++attempt;
  unmarkFields();
  try {
    if (assigned) showState("preparing", [ASSIGNED.reading, ""]);
    await assigned?.fill();
    if (mine === attempt) await openAndPublish(mine);
  } catch (error) {
    if (mine === attempt) fail(error);
  }
}

async function openAndPublish(mine) {
  const settings = readSettings(elements);
  if (!assigned) rememberStreamName(settings.streamName.split("?", 1)[0]); // Arguments may be secrets.
  clearInputs(settings.also !== "");
  showState("preparing", PREPARING[settings.also === "screen" ? "screen" : settings.source]);
  lineup = new Lineup();
  changes = changesOf(lineup);
  lineup.addEventListener("changed", () => mine === attempt && showSources());
  lineup.addEventListener("gone", ({ detail }) => mine === attempt && sourceGone(detail));
  await lineup.open(settings);
  if (mine === attempt) await publish(settings, mine);
}

/** With the token that the person gave, or else the one that the dashboard gives where the server asks for one. */
async function publish(settings, mine) {
  try {
    await offer({ ...settings, token: settings.token || (assigned?.token ?? "") }, mine);
  } catch (error) {
    if (mine !== attempt || !assigned || settings.token || error.facts?.status !== UNAUTHENTICATED) throw error;
    const token = await assigned.makeToken();
    if (mine === attempt) await offer({ ...settings, token }, mine);
  }
}

async function offer(settings, mine) {
  const { audioBitrate, token } = settings;
  const parameters = { ...streamParameters(settings), audio_bitrate: audioBitrate };
  const iceTransportPolicy = readTransportPolicy(new URLSearchParams(location.search));
  client = new WhipClient(whipUrl(ENDPOINT, parameters), { token, iceTransportPolicy });
  listen(client, settings, mine);
  const { media } = lineup;
  noteFurther({ isSent: media.videos.length > 1 });
  await client.publish(media, settings);
}

function listen(one, settings, mine) {
  const on = (type, show) => one.addEventListener(type, ({ detail }) => mine === attempt && show(detail));
  on("phase", (phase) => showPhase(phase, settings));
  on("figures", (figures) => setText("figures", liveWords(figures)));
  on("status", showStatus);
  on("ended", fail);
}

/** `snapshot`: null when there is no word from the server. */
function showStatus(snapshot) {
  air = snapshot ? airOf(sinksOf(snapshot)) : { ...UNKNOWN, headline: "No word from the server" };
  if (snapshot) showSinks(sinksOf(snapshot), snapshot);
  else showSinksAsOld();
  if (!isLive()) return;
  setText("warnings", warningWords(snapshot, lineup.muted));
  showAir();
  if (!snapshot) return steering.showAsOld();
  steering.show(snapshot);
  placeOnAir = placeOf(snapshot.input?.on_air);
  showPicture();
}

function showPhase(phase, settings) {
  showState(phase === "interrupted" ? "connecting" : phase, PHASES[phase]);
  if (phase !== "live") {
    steering?.pause();
    return showBadge(null);
  }
  lineup.publishBy(client.senders);
  steering ??= new Steering(client.control, nameOf);
  noteFurther({ isTaken: client.control.takesInputs });
  const url = playUrl(settings.streamUrl, settings.streamName);
  showPlayUrl(url, playCommand(url));
  showAir();
  showLiveNote();
}

/** Whether anybody can see it: while the way to the server is open, the state's headline. */
function showAir() {
  elements.status.dataset.air = air.air;
  setText("headline", mutedWords(air.headline, lineup.muted));
  showBadge(air.seconds);
}

/** What belongs under the headline beside the figures. */
function showLiveNote() {
  const hasLostMicrophone = elements.microphone.checked && lineup.main.parts?.microphone === null;
  const note = lineup.hasLost(MAIN) ? CAMERA_LOST : lineup.main.note || (hasLostMicrophone ? MICROPHONE_LOST : "");
  setText("detail", soundIsHeldBack() ? "The browser keeps the sound back: click anywhere on this page." : note);
}

/** The preview is of what is on air. */
function showPicture() {
  if (lineup) showPreview(lineup.at(placeOnAir) ?? lineup.main);
}

/** In the lineup, of an input; -1 if it is none of these. */
function placeOf(mid) {
  return client.senders?.mids.indexOf(mid) ?? -1;
}

function nameOf(mid) {
  const place = placeOf(mid);
  return place < 0 ? `Input ${mid}` : lineup.nameOf(place);
}

async function stop(words = ["Stopped", "Nothing is sent any more."]) {
  const mine = ++attempt;
  showState("stopping", ["Stopping", ""]);
  const ending = client;
  release();
  const confirmed = (await ending?.stop()) ?? true;
  if (mine !== attempt) return;
  if (!confirmed) words = [words[0], "Nothing is sent any more. The server did not confirm; it will notice by itself."];
  showState("stopped", words);
}

function fail(error) {
  attempt += 1;
  client?.stop();
  release();
  showState("failed", failureWords(error));
  markField(error.facts ?? {});
  const snapshot = error.facts?.snapshot;
  if (snapshot) showSinks(sinksOf(snapshot, true), snapshot); // Each says why.
}

function release() {
  client = null;
  lineup?.stop();
  changes?.stop();
  lineup = changes = null;
  meters.stop();
  showDevicesOf(null);
  steering?.stop();
  steering = null;
  clearInputs();
  for (const kind of ["video", "audio"]) showMuted(kind, false);
  elements.source.value ||= "camera"; // It was lost.
  air = UNKNOWN;
  placeOnAir = MAIN;
  showPreview(null);
  showBadge(null);
  clearSinks();
  showPlayUrl(null);
}

/** A further picture just goes. Without its camera, the stream goes on by its sound, and without sound by silence. */
function sourceGone({ place, kind }) {
  if (place === FURTHER) {
    elements.also.value = "";
    lineup.change(FURTHER, "").catch(() => {}); // The stream ended meanwhile.
  } else if (kind === "microphone") {
    if (!lineup.hasLost(MAIN)) lineup.changeMicrophone({ microphone: false }).then(showLiveNote, () => {});
  } else if (kind === "camera" && steering && lineup.hasSound) {
    lineup.drop(MAIN).catch(() => {}); // The stream ended meanwhile.
    elements.source.value = "";
    showDevicesOf(lineup);
    showLiveNote();
  } else stop(["Stopped", SOURCE_GONE[kind]]);
}

function changesOf(one) {
  return new LiveChanges(one, {
    began: (kind) => setText("detail", kind ? PREPARING[kind][0] : ""),
    done: showLiveNote,
    failed: (error) => {
      showDevicesOf(lineup);
      setText("detail", notChangedWords(error));
    },
    lost: (place) => sourceGone({ place, kind: "camera" }),
  });
}

function changeSource(part) {
  unlockDevices();
  if (isLive()) changes.ask(part);
}

/** Another source is in place, or another part of one. */
function showSources() {
  showPicture();
  showDevicesOf(lineup);
  const { parts } = lineup.main ?? {};
  const isMixed = parts?.microphone && parts.sounds.length > 0;
  if (lineup.main) meters.watch({ sent: lineup.media.audio, microphone: isMixed ? parts.microphone : null });
}

function showReading(name, reading) {
  showLevel(name, reading);
  if (name !== "sent") return;
  const hasMicrophone = Boolean(lineup?.main?.parts?.microphone);
  showSound(reading, { isSent: lineup?.main != null, isMuted: lineup?.muted.audio, hasMicrophone });
}

function toggleMute(kind) {
  const on = !lineup.muted[kind];
  lineup.mute(kind, on).catch(() => {}); // The stream ended meanwhile.
  showMuted(kind, on);
  showAir();
}

function isLive() {
  return elements.status.dataset.state === "live";
}

function showWhipUrl() {
  setText("whip-url", whipUrl(ENDPOINT, streamParameters(readSettings(elements))));
}

function limitBitrates() {
  const limits = { videoBitrate: bitrateOf(elements["video-bitrate"]), audioBitrate: bitrateOf(elements["audio-bitrate"]) };
  client?.senders?.limit(limits).catch(() => {}); // The stream ended meanwhile.
}

function bindControls() {
  elements.settings.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!elements.start.disabled) start();
  });
  elements.stop.addEventListener("click", () => stop());
  for (const id of SOURCE_FIELDS) elements[id].addEventListener("change", () => changeSource(id));
  elements.microphone.addEventListener("change", unlockDevices);
  bindDevices(changeSource);
  for (const id of ["stream-name", "stream-url", "audio", "filler"]) elements[id].addEventListener("input", showWhipUrl);
  for (const id of ["video-bitrate", "audio-bitrate"]) elements[id].addEventListener("change", limitBitrates);
  for (const kind of ["video", "audio"]) elements[`mute-${kind}`].addEventListener("click", () => toggleMute(kind));
  bindInputs((mid) => steering?.putOnAir(mid));
  bindQuality({ quality: (values) => steering?.setQuality(values), keyframe: () => steering?.requestKeyframe() });
  for (const button of document.querySelectorAll("[data-copies]")) button.addEventListener("click", () => copyFrom(button));
}

function bindPage() {
  for (const type of ["pointerdown", "keydown"]) {
    addEventListener(type, () => {
      const held = soundIsHeldBack();
      wakeSound();
      meters.wake();
      if (held && isLive()) setTimeout(() => isLive() && showLiveNote(), 200);
    });
  }
  // Only pagehide: beforeunload also fires for downloads and for a leaving that does not happen.
  addEventListener("pagehide", () => {
    if (!client) return;
    attempt += 1;
    client.abandon();
    release();
    showState("stopped", ["Stopped", "The page was left."]);
  });
}

async function begin() {
  bindControls();
  bindPage();
  clearQuality();
  const query = new URLSearchParams(location.search);
  if (!assigned) elements["stream-name"].value = rememberedStreamName();
  applyQuery(elements, query);
  showWhipUrl();
  const [camera, server] = await Promise.all([hasCamera(), readServer(ENDPOINT), assigned ? fillAssigned() : null, refreshDevices()]);
  if (!query.has("source") && !camera) elements.source.value = "picture";
  if (!assigned) fillTarget(server.streamUrl);
  setText("server-version", server.version);
  unlockDevices();
  showWhipUrl();
  if (query.get("autostart") === "1" && elements.status.dataset.state === "idle") startUnasked();
}

async function fillAssigned() {
  const mine = attempt;
  try {
    await assigned.fill();
  } catch (error) {
    if (mine === attempt) fail(error);
  }
}

function fillTarget(streamUrl) {
  if (!elements["stream-url"].value) elements["stream-url"].value = streamUrl;
  if (!elements["stream-url"].value) setText("stream-url-hint", "The server names no default target: enter one.");
}

/** The browser tells what is wrong with a field only to who pressed Start: here the state says it, too. */
function startUnasked() {
  const field = firstInvalidField();
  if (field) showState("failed", fieldWords(field));
  elements.settings.requestSubmit(elements.start);
}

begin();
