// Words and numbers, as every page writes them. Nothing here touches the page or the network.

export function bitrateWords(bitsPerSecond) {
  if (bitsPerSecond >= 1e6) return `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
  return `${Math.round(bitsPerSecond / 1000)} kbit/s`;
}

/** Minutes and seconds, with hours once there are any. */
export function durationWords(seconds) {
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const minutes = `${two((seconds / 60) % 60)}:${two(seconds % 60)}`;
  return seconds < 3600 ? minutes : `${two(seconds / 3600)}:${minutes}`;
}

export function text(value) {
  return typeof value === "string" ? value.trim() : "";
}

/** A name such as `target_refused` as words; words as they are. */
function plain(value) {
  return /^\w+$/.test(text(value)) ? text(value).replaceAll("_", " ") : text(value);
}

/** Begins with a capital, unless with a name such as `stream_url`; ends with a stop. */
export function sentence(value) {
  const words = plain(value).replace(/^[a-z]+(?=[ ,])/, (word) => word[0].toUpperCase() + word.slice(1));
  return words && !/[.!?]$/.test(words) ? `${words}.` : words;
}
