// What the person asked for: the form's values, where their defaults come from, and the addresses made of them.
// Order of precedence: the page's own query string, what was remembered (the stream name only), the server's
// default target, the values written in the page.

const NAME_KEY = "whipway.stream-name";
const ADJECTIVES = ["amber", "brave", "calm", "clear", "early", "gentle", "golden", "lucky", "quiet", "silver", "swift"];
const NOUNS = ["badger", "cedar", "comet", "falcon", "harbor", "lantern", "maple", "meadow", "otter", "river", "willow"];

// Query parameter of the page → id of the field. Values are those of the field itself (bitrates in kbit/s).
const QUERY_FIELDS = {
  source: "source",
  also: "also",
  stream_name: "stream-name",
  stream_url: "stream-url",
  audio: "audio",
  filler: "filler",
  resolution: "resolution",
  frame_rate: "frame-rate",
  video_bitrate_kbit: "video-bitrate",
  audio_bitrate_kbit: "audio-bitrate",
};

/** "relay" where the page's query says `relay=1`: all goes through the server's TURN servers, for strict networks. */
export function readTransportPolicy(query) {
  return query.get("relay") === "1" ? "relay" : "all";
}

export function randomStreamName() {
  const [first, second, number] = crypto.getRandomValues(new Uint32Array(3));
  return `${ADJECTIVES[first % ADJECTIVES.length]}-${NOUNS[second % NOUNS.length]}-${10 + (number % 90)}`;
}

/** The remembered stream name, or a new one. Storage may be switched off: then nothing is remembered. */
export function rememberedStreamName() {
  try {
    return localStorage.getItem(NAME_KEY) || randomStreamName();
  } catch {
    return randomStreamName();
  }
}

export function rememberStreamName(name) {
  try {
    localStorage.setItem(NAME_KEY, name);
  } catch {
    // Storage is switched off or full: the name is simply not remembered.
  }
}

/** Fills the fields the query string names; a value that a select does not offer is left out. */
export function applyQuery(fields, query) {
  for (const [parameter, id] of Object.entries(QUERY_FIELDS)) {
    const value = query.get(parameter);
    const field = fields[id];
    const offered = field.tagName !== "SELECT" || [...field.options].some((option) => option.value === value);
    if (value !== null && offered) field.value = value;
  }
  if (query.has("simulcast")) fields.simulcast.checked = query.get("simulcast") === "1";
}

/** Bits per second from a field in kbit/s, never beyond the field's own bounds (NaN falls to its default). */
export function bitrateOf(field) {
  const kbit = Number.isFinite(field.valueAsNumber) ? field.valueAsNumber : Number(field.defaultValue);
  return Math.round(Math.min(Math.max(kbit, Number(field.min)), Number(field.max)) * 1000);
}

/** The form as plain values: sizes in pixels, rates per second, bitrates in bit/s. */
export function readSettings(fields) {
  const [width, height] = fields.resolution.value.split("x").map(Number);
  return {
    source: fields.source.value,
    also: fields.also.value,
    camera: fields.camera.value,
    microphone: fields.microphone.checked,
    microphoneDevice: fields["microphone-device"].value,
    simulcast: fields.simulcast.checked,
    streamName: fields["stream-name"].value.trim(),
    streamUrl: fields["stream-url"].value.trim(),
    audio: fields.audio.value,
    filler: fields.filler.value,
    width,
    height,
    frameRate: Number(fields["frame-rate"].value),
    videoBitrate: bitrateOf(fields["video-bitrate"]),
    audioBitrate: bitrateOf(fields["audio-bitrate"]),
    token: fields.token.value.trim(),
  };
}

/** `{version, streamUrl}` as the server tells it; empty strings where it does not answer. */
export async function readServer(endpoint) {
  try {
    const response = await fetch(`${endpoint}/status.json`, { cache: "no-store", signal: AbortSignal.timeout(5000) });
    const body = response.ok ? await response.json() : {};
    return { version: String(body.server_version ?? ""), streamUrl: String(body.default_stream_url ?? "") };
  } catch {
    return { version: "", streamUrl: "" };
  }
}

/** What the WHIP endpoint's query says of the stream, however it is published. */
export function streamParameters({ streamName, streamUrl, audio, filler }) {
  return { stream_name: streamName, stream_url: streamUrl, ...(audio && { audio }), ...(filler && { filler }) };
}

/** The WHIP endpoint with its query. A name with arguments (`name?key=value`) stays one value, so all is encoded. */
export function whipUrl(endpoint, parameters) {
  const query = Object.entries(parameters).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return `${endpoint}?${query.join("&")}`;
}

/** Where the stream can be played: user, password and arguments after `?` are for the publisher only. */
export function playUrl(streamUrl, streamName) {
  const target = streamUrl.split("?", 1)[0].replace(/^(\w+:\/\/)[^/]*@/, "$1").replace(/\/+$/, "");
  return `${target}/${streamName.split("?", 1)[0]}`;
}

/** A command line that plays `url`; quoted where a shell would take the address apart. */
export function playCommand(url) {
  return /^[\w:/.@%+,=~-]+$/.test(url) ? `ffplay ${url}` : `ffplay '${url.replaceAll("'", "'\\''")}'`;
}
