// Where this server is. It may stand behind a proxy, below a path of the proxy's; this module's own address tells.
// The console writes every path as if there were none ("/streams"), and these two go between.

const ROOT = new URL("../../", import.meta.url); // This is ROOT/dashboard/console/addresses.js.
const BELOW = ROOT.pathname.replace(/\/$/, "");

/** The address of a path of this server: "/v1/me" is "https://host/whipway/v1/me". Others stay as they are. */
export function addressOf(path) {
  return path.startsWith("/") && !path.startsWith("//") ? `${ROOT.origin}${BELOW}${path}` : path;
}

/** The path of an address of this server, with its query; null for other servers. */
export function pathOf(address) {
  const { origin, pathname, search } = new URL(address, ROOT);
  if (origin !== ROOT.origin || !`${pathname}/`.startsWith(`${BELOW}/`)) return null;
  return `${pathname.slice(BELOW.length) || "/"}${search}`;
}
