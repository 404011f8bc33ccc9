// Link header fields (RFC 8288 section 3): ICE servers (RFC 9725 section 4.6), and what else goes with a session:
//
//   <turn:turn.example.com:3478?transport=udp>; rel="ice-server"; username="u"; credential="p"
//   <https://example.com/p/webrtc/1/status>; rel="urn:whipway:status"
//
// The browser joins several fields by commas, which may also stand in addresses and in quoted strings. Names of
// parameters have no case, come in any order, and the first of a name counts. Reading ends where it is no link.

const TARGET = /[\s,]*<([^>]*)>/y;
// A name alone, with a token, or with a quoted string that may have escapes.
const PARAMETER = /\s*;\s*(?:([!#$%&'*+.^_`|~\w-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?)?/y;
const ICE_SCHEMES = /^(stun|turn)s?:/i;
const TURN_SCHEMES = /^turns?:/i;

/** The links of a header value in order: `{target, parameters}`, a Map by names in lower case. */
export function readLinks(header) {
  const links = [];
  let position = 0;
  for (let found = at(TARGET, header, position); found; found = at(TARGET, header, position)) {
    const parameters = new Map();
    position = readParameters(header, TARGET.lastIndex, parameters);
    links.push({ target: found[1].trim(), parameters });
  }
  return links;
}

/** What RTCPeerConnection takes as `iceServers`; links that it would not take are left out. */
export function readIceServers(header) {
  return readLinks(header ?? "").filter(isIceServer).map(({ target, parameters }) => {
    if (!TURN_SCHEMES.test(target)) return { urls: target };
    return { urls: target, username: parameters.get("username"), credential: parameters.get("credential") };
  });
}

/** The address of the first link with this relation, or null; `base` is what it may be relative to. */
export function readTarget(header, relation, base) {
  const link = readLinks(header ?? "").find((one) => relationsOf(one).includes(relation));
  return link && URL.canParse(link.target, base) ? new URL(link.target, base) : null;
}

/** The same from a response about `session`, if it is of its origin: what goes there takes the token along. */
export function readOwnTarget(response, relation, session) {
  const url = readTarget(response.headers.get("Link"), relation, response.url);
  return url?.origin === session.origin ? url : null;
}

/** Whether one of them relays. */
export function hasRelay(iceServers) {
  return iceServers.some(({ urls }) => TURN_SCHEMES.test(urls));
}

function relationsOf({ parameters }) {
  return (parameters.get("rel") ?? "").toLowerCase().split(/\s+/);
}

function isIceServer(link) {
  const { target, parameters } = link;
  if (!relationsOf(link).includes("ice-server") || !ICE_SCHEMES.test(target)) return false;
  if (!TURN_SCHEMES.test(target)) return true;
  // RFC 9725 section 4.6: without credential-type it is a password, the only one that browsers know.
  const type = (parameters.get("credential-type") ?? "password").toLowerCase();
  return type === "password" && parameters.has("username") && parameters.has("credential");
}

/** Fills `parameters` from `position` on; returns where they end. */
function readParameters(header, position, parameters) {
  for (let found = at(PARAMETER, header, position); found; found = at(PARAMETER, header, position)) {
    position = PARAMETER.lastIndex;
    const [, name, quoted, token] = found;
    const key = name?.toLowerCase();
    if (key && !parameters.has(key)) parameters.set(key, quoted?.replace(/\\(.)/g, "$1") ?? token ?? "");
  }
  return position;
}

function at(pattern, text, position) {
  pattern.lastIndex = position;
  return pattern.exec(text);
}
