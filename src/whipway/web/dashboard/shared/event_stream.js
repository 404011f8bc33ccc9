// Server-sent events (HTML Standard, section 9.2.6) from the body of a response. The browser's own EventSource
// cannot send a token, and does not say why it ends.
//
// Left out: `id` and `retry`. Whoever reads decides when to come back, and the first event tells all there is.

const LINE_END = /\r\n|\n|\r(?!$)/; // A CR at the end may be half of a CRLF.
const MAX_EVENT_LENGTH = 1_000_000; // In characters: a session's status has a few thousand.

/** Yields `{type, data}` for each event with data, to the end of the body; raises when it breaks off. */
export async function* readEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  const event = new EventReader();
  let rest = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    const lines = (rest + read.value).split(LINE_END);
    rest = lines.pop();
    if (rest.length > MAX_EVENT_LENGTH) throw new RangeError("A line has no end.");
    for (const line of lines) {
      const complete = event.take(line);
      if (complete) yield complete;
    }
  }
}

class EventReader {
  #type = "";
  #data = [];
  #length = 0;

  /** Takes one line; returns the event that it ends, or null. */
  take(line) {
    if (line === "") return this.#end();
    this.#length += line.length;
    if (this.#length > MAX_EVENT_LENGTH) throw new RangeError("An event has no end.");
    const [, name, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
    if (name === "event") this.#type = value;
    if (name === "data") this.#data.push(value);
    return null;
  }

  #end() {
    const event = { type: this.#type || "message", data: this.#data.join("\n") };
    const isEmpty = this.#data.length === 0;
    [this.#type, this.#data, this.#length] = ["", [], 0];
    return isEmpty ? null : event;
  }
}
