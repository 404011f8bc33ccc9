// What an ICE restart carries (RFC 9725 section 4.3.3): fragments of SDP (RFC 8840 section 9) for the first section
// of the bundle, which transports all the others. Only ICE changes; the rest of offer and answer stays in force.

const ICE_LINE = /^a=(ice-ufrag|ice-pwd|candidate|end-of-candidates)\b/;

/** The fragment that asks for a restart with the credentials of this offer. It has no candidates yet. */
export function offerFragment(sdp) {
  const lines = linesOf(sdp);
  const first = lines.findIndex((line) => line.startsWith("m="));
  const find = (start) => lines.slice(first).find((line) => line.startsWith(start))
    ?? lines.find((line) => line.startsWith(start));
  const wanted = [
    find("a=ice-options:"), find("a=group:BUNDLE"), lines[first], find("a=mid:"), find("a=ice-ufrag:"), find("a=ice-pwd:"),
  ];
  return join(wanted.filter(Boolean));
}

/** `{ufrag, pwd, candidates}` of a server's fragment, candidates as whole lines; null without credentials. */
export function readFragment(text) {
  const lines = linesOf(text);
  const value = (name) => lines.find((line) => line.startsWith(`a=${name}:`))?.slice(name.length + 3);
  const [ufrag, pwd] = [value("ice-ufrag"), value("ice-pwd")];
  if (!ufrag || !pwd) return null;
  return { ufrag, pwd, candidates: lines.filter((line) => line.startsWith("a=candidate:")) };
}

/** The answer again, with the credentials and candidates of `fragment` in place of those it had. */
export function renewAnswer(sdp, { ufrag, pwd, candidates }) {
  const credentials = [`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`];
  const [session, ...sections] = splitSections(linesOf(sdp).filter((line) => !ICE_LINE.test(line)));
  return join([
    ...session,
    ...sections.flatMap((section, index) => [...section, ...credentials, ...(index === 0 ? candidates : [])]),
  ]);
}

/** Lines in groups: those before the first m-line, then each m-line with its own. */
function splitSections(lines) {
  const groups = [[]];
  for (const line of lines) {
    if (line.startsWith("m=")) groups.push([]);
    groups.at(-1).push(line);
  }
  return groups;
}

function linesOf(text) {
  return text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
}

function join(lines) {
  return lines.map((line) => `${line}\r\n`).join("");
}
