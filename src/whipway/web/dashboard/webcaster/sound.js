// The page's one audio graph: it makes sound, and makes one track of several. It is never heard here.

let context = null;

export function audioContext() {
  context ??= new AudioContext({ sampleRate: 48000 });
  context.resume().catch(() => {}); // Held back until the first click: wakeSound() asks again.
  return context;
}

/** To be called on a click or key press: browsers keep generated sound silent before one. */
export function wakeSound() {
  if (context?.state === "suspended") context.resume().catch(() => {});
}

/** Whether generated sound waits for a click. */
export function soundIsHeldBack() {
  return context?.state === "suspended";
}

/** One track of any number: a lone track as it is, several mixed, none as silence. The caller calls `release`. */
export function joinSound(tracks) {
  if (tracks.length === 1) return { track: tracks[0], release: () => {} };
  const mixer = audioContext();
  const output = mixer.createMediaStreamDestination();
  // An output that nothing feeds sends nothing at all, not even silence.
  const silence = new ConstantSourceNode(mixer, { offset: 0 });
  const inputs = [silence, ...tracks.map((track) => mixer.createMediaStreamSource(new MediaStream([track])))];
  for (const input of inputs) input.connect(output);
  silence.start();
  const [track] = output.stream.getAudioTracks();
  const release = () => {
    silence.stop();
    for (const input of inputs) input.disconnect();
    track.stop();
  };
  return { track, release };
}
