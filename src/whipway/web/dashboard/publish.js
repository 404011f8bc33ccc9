// The publishing page: joins the form, the source, the WHIP client and the view. One stream at a time.

import {
  applyQuery, bitrateOf, playCommand, playUrl, readServer, readSettings, readTransportPolicy, rememberStreamName, rememberedStreamName,
  streamParameters, whipUrl,
} from "./settings.js";
import { airOf, sinksOf } from "./sink_wording.js";
import { clearSinks, showSinks, showSinksAsOld } from "./sinks_view.js";
import { hasCamera, openSource, soundIsHeldBack, wakeSound } from "./sources.js";
import {
  copyFrom, elements, firstInvalidField, markField, setText, showBadge, showMuted, showPlayUrl, showPreview, showState, unlockMicrophone,
  unmarkFields,
} from "./view.js";
import { WhipClient } from "./whip_client.js";
import {
  PHASES, PREPARING, failureWords, fieldWords, liveWords, mutedWords, sourceWords, warningWords,
} from "./wording.js";

const ENDPOINT = new URL("p/webrtc", document.baseURI).href;
const SOURCE_GONE = {
  camera: ["Stopped", "The camera was disconnected, so the stream was ended."],
  screen: ["Stopped", "Screen sharing ended, and the stream with it."],
  picture: ["Stopped", ""],
};

const UNKNOWN = { air: "", headline: PHASES.live[0], seconds: null };

const muted = { video: false, audio: false };
let attempt = 0; // Grows with each start and stop: whatever belongs to an older one is not shown any more.
let client = null;
let source = null;
let air = UNKNOWN; // As far as the server has told.
let switching = false;

async function start() {
  const mine = ++attempt;
  const settings = readSettings(elements);
  rememberStreamName(settings.streamName.split("?", 1)[0]); // Arguments may be secrets.
  unmarkFields();
  showState("preparing", PREPARING[settings.source]);
  try {
    const opened = await openSource(settings.source, settings);
    if (mine !== attempt) return opened.stop();
    use(opened);
    await publish(settings, mine);
  } catch (error) {
    if (mine === attempt) fail(error);
  }
}

async function publish(settings, mine) {
  const { audioBitrate, token } = settings;
  const parameters = { ...streamParameters(settings), audio_bitrate: audioBitrate };
  const iceTransportPolicy = readTransportPolicy(new URLSearchParams(location.search));
  client = new WhipClient(whipUrl(ENDPOINT, parameters), { token, iceTransportPolicy });
  listen(client, settings, mine);
  await client.publish(source.stream, settings);
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
  setText("warnings", warningWords(snapshot));
  showAir();
}

function showPhase(phase, settings) {
  showState(phase === "interrupted" ? "connecting" : phase, PHASES[phase]);
  if (phase !== "live") return showBadge(null);
  const url = playUrl(settings.streamUrl, settings.streamName);
  showPlayUrl(url, playCommand(url));
  showAir();
  showLiveNote();
}

/** Whether anybody can see it: while the way to the server is open, the state's headline. */
function showAir() {
  elements.status.dataset.air = air.air;
  setText("headline", mutedWords(air.headline, muted));
  showBadge(air.seconds);
}

/** What belongs under the headline beside the figures. */
function showLiveNote() {
  setText("detail", soundIsHeldBack() ? "The browser keeps the sound back: click anywhere on this page." : source.note);
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
  source?.stop();
  source = null;
  for (const kind of ["video", "audio"]) mute(kind, false);
  air = UNKNOWN;
  showPreview(null);
  showBadge(null);
  clearSinks();
  showPlayUrl(null);
}

/** Takes a newly opened source over: what is muted stays muted, the one before is let go. */
function use(opened) {
  const before = source;
  source = opened;
  for (const track of opened.stream.getTracks()) track.enabled = !muted[track.kind];
  opened.stream.getVideoTracks()[0].addEventListener("ended", () => source === opened && stop(SOURCE_GONE[opened.kind]));
  showPreview(opened);
  before?.stop();
}

/** While live: opens what the select names and puts it in place. On failure the present source goes on. */
async function switchSource() {
  unlockMicrophone();
  if (switching || !isLive()) return;
  switching = true;
  const mine = attempt;
  while (mine === attempt && elements.source.value !== source.kind) await switchTo(elements.source.value, mine);
  switching = false;
}

async function switchTo(kind, mine) {
  try {
    setText("detail", PREPARING[kind][0]);
    const opened = await openSource(kind, readSettings(elements));
    if (mine !== attempt) return opened.stop();
    await client.replaceTracks(opened.stream);
    use(opened);
    showLiveNote();
  } catch (error) {
    if (mine !== attempt) return;
    elements.source.value = source.kind;
    setText("detail", `The source was not changed. ${sourceWords(error)}`);
  }
}

function mute(kind, on) {
  muted[kind] = on;
  showMuted(`mute-${kind}`, on);
  for (const track of source?.stream.getTracks() ?? []) if (track.kind === kind) track.enabled = !on;
}

function isLive() {
  return elements.status.dataset.state === "live";
}

function showWhipUrl() {
  setText("whip-url", whipUrl(ENDPOINT, streamParameters(readSettings(elements))));
}

function limitBitrates() {
  client?.limit({ videoBitrate: bitrateOf(elements["video-bitrate"]), audioBitrate: bitrateOf(elements["audio-bitrate"]) })
    .catch(() => {}); // The stream ended meanwhile.
}

function bindControls() {
  elements.settings.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!elements.start.disabled) start();
  });
  elements.stop.addEventListener("click", () => stop());
  elements.source.addEventListener("change", switchSource);
  for (const id of ["stream-name", "stream-url", "audio"]) elements[id].addEventListener("input", showWhipUrl);
  for (const id of ["video-bitrate", "audio-bitrate"]) elements[id].addEventListener("change", limitBitrates);
  for (const kind of ["video", "audio"]) {
    elements[`mute-${kind}`].addEventListener("click", () => {
      mute(kind, !muted[kind]);
      showAir();
    });
  }
  for (const button of document.querySelectorAll("[data-copies]")) button.addEventListener("click", () => copyFrom(button));
}

function bindPage() {
  for (const type of ["pointerdown", "keydown"]) {
    addEventListener(type, () => {
      const held = soundIsHeldBack();
      wakeSound();
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
  const query = new URLSearchParams(location.search);
  elements["stream-name"].value = rememberedStreamName();
  applyQuery(elements, query);
  showWhipUrl();
  const [camera, server] = await Promise.all([hasCamera(), readServer(ENDPOINT)]);
  if (!query.has("source") && !camera) elements.source.value = "picture";
  if (!elements["stream-url"].value) elements["stream-url"].value = server.streamUrl;
  if (!elements["stream-url"].value) setText("stream-url-hint", "The server names no default target: enter one.");
  setText("server-version", server.version);
  unlockMicrophone();
  showWhipUrl();
  if (query.get("autostart") === "1") startUnasked();
}

/** The browser tells what is wrong with a field only to who pressed Start: here the state says it, too. */
function startUnasked() {
  const field = firstInvalidField();
  if (field) showState("failed", fieldWords(field));
  elements.settings.requestSubmit(elements.start);
}

begin();
