// What can be asked of a session while it is live: which input is on air, its quality, a key frame, pictures of
// its inputs. The 201 links to what the server can do; a server that can do nothing of it has no such links.

import { readOwnTarget } from "../shared/link_header.js";
import { refusal } from "../shared/whip_http.js";

export const INPUTS_RELATION = "urn:whipway:inputs";
const QUALITY_RELATION = "urn:whipway:quality";

export class SessionControl {
  #inputs;
  #quality;
  #keyframe;
  #request;

  /** `response`: the 201; `session`: URL; `request(url, init)` is `fetch` with the session's token. */
  constructor(response, session, request) {
    this.#inputs = readOwnTarget(response, INPUTS_RELATION, session);
    this.#quality = readOwnTarget(response, QUALITY_RELATION, session);
    this.#keyframe = `${session.href}/keyframe`;
    this.#request = request;
  }

  /** Whether the server takes several pictures. */
  get takesInputs() {
    return this.#inputs !== null;
  }

  get hasQuality() {
    return this.#quality !== null;
  }

  /** Its pictures leave as soon as a key frame of it has come. Raises WhipError, as all of these. */
  putOnAir(mid) {
    return this.#put(this.#inputs, { mid });
  }

  /** `max_video_bitrate` (bit/s, null for no limit), `layer` ("auto" or a rid); what is not given stays. */
  setQuality(values) {
    return this.#put(this.#quality, values);
  }

  requestKeyframe() {
    return this.#taken(this.#keyframe, { method: "POST" });
  }

  /** The last key frame of an input as a Blob; null when there is none, or no telling. */
  async picture(mid) {
    try {
      const response = await this.#request(`${this.#inputs}/${encodeURIComponent(mid)}/thumbnail`, {});
      return response.status === 200 ? await response.blob() : null;
    } catch {
      return null;
    }
  }

  #put(url, values) {
    const init = { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify(values) };
    return this.#taken(url, init);
  }

  async #taken(url, init) {
    const response = await this.#request(url, init);
    if (!response.ok) throw await refusal(response);
  }
}
