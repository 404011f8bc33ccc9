// What is offered: H.264 before other codecs, and sound that can be repeated.

import { WhipError } from "../shared/whip_http.js";

/**
 * An offer with the readiness to repeat lost sound: browsers have it, but do not offer it by themselves.
 * `unchanged`: for a browser that only takes its own words as local description.
 */
export async function createOffer(connection, options) {
  const unchanged = await connection.createOffer(options);
  const sdp = unchanged.sdp.replace(/a=rtpmap:(\d+) opus\/48000\/2\r\n/i, "$&a=rtcp-fb:$1 nack\r\n");
  return { type: "offer", sdp, unchanged };
}

/** H.264 first, as RTMP needs it; the others stay behind it, in the browser's order. */
export function preferH264(transceiver) {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const isH264 = (codec) => codec.mimeType.toLowerCase() === "video/h264";
  if (!codecs.some(isH264)) throw new WhipError("no-h264");
  const ordered = [...codecs.filter(isH264), ...codecs.filter((codec) => !isH264(codec))];
  transceiver.setCodecPreferences?.(ordered);
}
