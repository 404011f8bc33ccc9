// A WHIP client made of libdatachannel, the library of OBS Studio, put together as OBS does it: one payload type
// a track, SPS and PPS in packets of their own, sender reports, answers to NACK, none to a request for a key
// frame; at the end the connection is closed first, and DELETE follows.
//
//     node publisher.mjs WHIP_URL MEDIA_FILE
//
// MEDIA_FILE is JSON: {reports, samples}. `reports` tells whether there are sender reports; `samples` is a list of
// {track, at, timestamp, data} in the order of sending, `at` in milliseconds, `timestamp` on the track's RTP
// clock, `data` an access unit as byte stream or an Opus packet, in base64.
// Prints as JSON how many were sent per track, and the offer.

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import rtc from "node-datachannel";

const SETTLE_MS = 500; // Between the last packet and the end: what is still on its way arrives.
const SSRC = 3388068600;
const CNAME = "publisher";
const MAX_FRAGMENT_BYTES = 1200;

const [url, mediaFile] = process.argv.slice(2);
const { reports, samples } = JSON.parse(readFileSync(mediaFile, "utf8"));

const connection = new rtc.PeerConnection(CNAME, { iceServers: [] });
const tracks = { audio: addAudio(), video: addVideo() };
const opened = Object.values(tracks).map(({ track }) => new Promise((resolve) => track.onOpen(resolve)));
// The offer as it is before any candidate is known.
const offer = new Promise((resolve) => connection.onLocalDescription(resolve));
connection.setLocalDescription();
const sessionUrl = await exchange(await offer);
await Promise.all(opened);
const sent = await sendAll();
await sleep(SETTLE_MS);
connection.close();
await fetch(sessionUrl, { method: "DELETE" });
console.log(JSON.stringify({ ...sent, offer: await offer }));
rtc.cleanup();

function addAudio() {
  const media = new rtc.Audio("0", "SendOnly");
  media.addOpusCodec(111);
  media.addSSRC(SSRC, CNAME, "stream", "stream-audio");
  const config = new rtc.RtpPacketizationConfig(SSRC, CNAME, 111, 48000);
  return addTrack(media, config, new rtc.RtpPacketizer(config));
}

function addVideo() {
  const media = new rtc.Video("1", "SendOnly");
  media.addH264Codec(96);
  media.addSSRC(SSRC + 1, CNAME, "stream", "stream-video");
  const config = new rtc.RtpPacketizationConfig(SSRC + 1, CNAME, 96, 90000);
  return addTrack(media, config, new rtc.H264RtpPacketizer("StartSequence", config, MAX_FRAGMENT_BYTES));
}

function addTrack(media, config, packetizer) {
  if (reports) packetizer.addToChain(new rtc.RtcpSrReporter(config));
  packetizer.addToChain(new rtc.RtcpNackResponder());
  const track = connection.addTrack(media);
  track.setMediaHandler(packetizer);
  return { track, config };
}

async function exchange(sdp) {
  const headers = { "Content-Type": "application/sdp" };
  const response = await fetch(url, { method: "POST", headers, body: sdp });
  const text = await response.text();
  if (response.status !== 201) throw new Error(`${response.status}: ${text}`);
  connection.setRemoteDescription(text, "answer");
  return response.headers.get("Location");
}

async function sendAll() {
  const counts = { audio: 0, video: 0 };
  const began = performance.now();
  for (const { track: name, at, timestamp, data } of samples) {
    const early = began + at - performance.now();
    if (early > 0) await sleep(early);
    const { track, config } = tracks[name];
    config.timestamp = timestamp;
    counts[name] += track.sendMessageBinary(Buffer.from(data, "base64"));
  }
  return counts;
}
