// Which streams a list is of, and the address that says so: a link to a list is the list.

export const STATES = ["live", "created", "ended", "locked", "deleted"];
export const SIZES = [25, 50, 100];
const DEFAULT_SIZE = 50;

/** `{states, tags, name, size, page}` from the query of the page's address; what makes no sense is left out. */
export function readQuery(query) {
  const size = Number(query.get("size"));
  const page = Number(query.get("page"));
  return {
    states: STATES.filter((state) => query.getAll("state").includes(state)),
    tags: [...new Set(query.getAll("tag").filter(Boolean))],
    name: query.get("name") ?? "",
    size: SIZES.includes(size) ? size : DEFAULT_SIZE,
    page: Number.isInteger(page) && page > 0 ? page : 1,
  };
}

/** The path of the page that shows it. */
export function pageOf({ size, page, ...filters }) {
  const query = filtersOf(filters);
  if (size !== DEFAULT_SIZE) query.set("size", size);
  if (page > 1) query.set("page", page);
  return query.size ? `/streams?${query}` : "/streams";
}

/** The path of the API that lists it. */
export function listOf({ size, page, ...filters }) {
  const query = filtersOf(filters);
  query.set("limit", size);
  query.set("offset", (page - 1) * size);
  return `/v1/streams?${query}`;
}

function filtersOf({ states, tags, name }) {
  return new URLSearchParams([
    ...states.map((state) => ["state", state]), ...tags.map((tag) => ["tag", tag]), ...(name ? [["name", name]] : []),
  ]);
}
