// What is being sent, in figures, from RTCPeerConnection.getStats() once a second.

/** Turns successive statistics reports into figures; rates need two of them. */
export class Figures {
  #bytes = 0;
  #at = null;

  /**
   * `{width, height, frameRate, bitrate, roundTrip, loss, limit, silence}`: bit/s, seconds, a share; null where
   * unknown. `silence`: how long packets have been going out with none coming in. `mid`: of the picture that is
   * on air, where that is known; all but the bitrate is about this one.
   */
  read(report, mid = null) {
    const all = [...report.values()];
    const outbound = all.filter((entry) => entry.type === "outbound-rtp");
    const videos = outbound.filter((entry) => entry.kind === "video");
    const onAir = videos.filter((entry) => entry.mid === mid);
    const video = largest(onAir.length > 0 ? onAir : videos);
    const remotes = all.filter((entry) => entry.type === "remote-inbound-rtp" && entry.kind === "video");
    const remote = remotes.find((entry) => entry.localId === video?.id) ?? remotes[0];
    const pair = selectedPair(all);
    return {
      width: isSent(video) ? video.frameWidth : null,
      height: isSent(video) ? video.frameHeight : null,
      frameRate: video?.framesPerSecond ?? null,
      bitrate: this.#bitrate(outbound),
      roundTrip: pair?.currentRoundTripTime ?? remote?.roundTripTime ?? null,
      loss: remote?.fractionLost ?? null,
      limit: video?.qualityLimitationReason ?? null,
      silence: silenceOf(pair),
    };
  }

  #bitrate(outbound) {
    if (outbound.length === 0) return null;
    const bytes = outbound.reduce((sum, entry) => sum + (entry.bytesSent ?? 0), 0);
    const at = outbound[0].timestamp;
    const bitrate = this.#at !== null && at > this.#at ? ((bytes - this.#bytes) * 8000) / (at - this.#at) : null;
    [this.#bytes, this.#at] = [bytes, at];
    return bitrate === null ? null : Math.max(0, bitrate);
  }
}

/** Of several sizes of a picture, the largest that is being sent. */
function largest(entries) {
  const size = (entry) => (isSent(entry) ? entry.frameWidth * entry.frameHeight : 0);
  return entries.reduce((best, entry) => (best && size(best) >= size(entry) ? best : entry), undefined);
}

function isSent(entry) {
  return entry?.framesPerSecond > 0;
}

function silenceOf({ lastPacketSentTimestamp: sent, lastPacketReceivedTimestamp: received } = {}) {
  return sent && received ? Math.max(0, (sent - received) / 1000) : null;
}

function selectedPair(all) {
  const transport = all.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  const pairs = all.filter((entry) => entry.type === "candidate-pair");
  return pairs.find((pair) => pair.id === transport?.selectedCandidatePairId)
    ?? pairs.find((pair) => pair.nominated && pair.state === "succeeded");
}
