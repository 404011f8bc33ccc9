// The inputs of a session in plain words, from the server's snapshot. An input is one picture that is sent; on
// air is the one whose picture leaves for the targets.

import { bitrateWords, text } from "./words.js";

const STATES = {
  live: "Ready",
  muted: "No picture comes",
  waiting: "Waiting for its first picture",
};

/** The inputs of a snapshot, as the server lists them. */
export function inputsOf(snapshot) {
  return Array.isArray(snapshot?.inputs) ? snapshot.inputs : [];
}

/**
 * What is shown of one input: `{name, standing, state, figures, layers, action, canAct}`; standing: "on", "next" or
 * "off" air. `choice`: the snapshot's "input".
 */
export function inputView(input, choice, name) {
  const standing = standingOf(input, choice);
  const isKept = standing === "on" && text(choice?.wanted) !== "";
  return {
    name,
    standing,
    state: standingWords(input, standing),
    figures: figureWords(input, standing),
    layers: layerWords(input),
    action: isKept ? "Keep on air" : "Put on air",
    canAct: isKept || standing === "off",
  };
}

/** For who listens: what is on air, and what will be. */
export function onAirWords(inputs, choice, nameOf) {
  const named = (mid) => inputs.some((input) => input.mid === mid) && nameOf(mid);
  const [onAir, next] = [named(choice?.on_air), named(choice?.wanted)];
  return [onAir && `${onAir} is on air.`, next && `${next} is next.`].filter(Boolean).join(" ");
}

/** "1280x720", or nothing while it is not known. */
export function sizeWords(size) {
  return Array.isArray(size) ? `${size[0]}x${size[1]}` : "";
}

function standingOf({ mid }, choice) {
  if (choice?.wanted === mid) return "next";
  return choice?.on_air === mid ? "on" : "off";
}

function standingWords(input, standing) {
  if (standing === "next") return "On air with its next key frame";
  return standing === "on" ? "On air" : stateWords(input);
}

function stateWords({ state }) {
  return STATES[state] ?? text(state);
}

function figureWords(input, standing) {
  const { state, size, fps, bitrate, asked_bitrate: asked } = input;
  if (state !== "live") return standing === "off" ? "" : stateWords(input);
  return [
    sizeWords(size),
    fps > 0 ? `${Math.round(fps)} fps` : "",
    bitrateWords(bitrate ?? 0),
    asked > 0 ? `at most ${bitrateWords(asked)}` : "",
  ].filter(Boolean).join(", ");
}

function layerWords({ state: ofAll, layers }) {
  if (ofAll !== "live" || !Array.isArray(layers) || layers.length === 0) return "";
  const words = layers.map(({ rid, state, size, on_air: isOnAir }) => [
    text(rid),
    state === "live" ? sizeWords(size) : "off",
    isOnAir ? "(taken)" : "",
  ].filter(Boolean).join(" "));
  return `Layers: ${words.join(", ")}`;
}
