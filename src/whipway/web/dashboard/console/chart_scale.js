// The arithmetic of a chart over time: where a point lies, where lines break, which numbers stand at the axis.
// Nothing here touches the page.

const STEPS = [1, 2, 2.5, 5, 10];
const [MIN_STEPS, MAX_STEPS] = [2, 4]; // From zero to the top.
const GAP = 2.5; // Times the interval: between points that are farther apart there was nothing.

/** An axis from zero up to `highest` at least, in few round steps: `{top, ticks}`. */
export function axisOf(highest) {
  const power = 10 ** Math.floor(Math.log10(highest / MAX_STEPS));
  const axes = STEPS.map((one) => ({ step: one * power, count: Math.ceil(highest / (one * power) - 1e-9) }));
  const fitting = axes.filter(({ count }) => count >= MIN_STEPS && count <= MAX_STEPS);
  const { step, count } = fitting.reduce((best, one) => (one.step * one.count < best.step * best.count ? one : best));
  return { top: step * count, ticks: Array.from({ length: count + 1 }, (_, index) => index * step) };
}

/** `points`: `{at, value}` in order, at in ms. The parts between gaps and unknown values, each a list of points. */
export function partsOf(points, interval) {
  const parts = [];
  let before = null;
  for (const point of points) {
    const isKnown = typeof point.value === "number";
    if (isKnown && before && point.at - before.at <= GAP * interval) parts.at(-1).push(point);
    else if (isKnown) parts.push([point]);
    before = isKnown ? point : null;
  }
  return parts;
}

/** The known point that is nearest to a moment, or null when all are farther than `within` ms. */
export function nearestTo(points, at, within) {
  let found = null;
  for (const point of points) {
    if (typeof point.value !== "number") continue;
    const distance = Math.abs(point.at - at);
    if (distance <= within && (!found || distance < Math.abs(found.at - at))) found = point;
  }
  return found;
}

/** `{now, least, most, mean}` of what is known, or null where nothing is. `now` is the last value. */
export function summaryOf(points) {
  const values = points.map(({ value }) => value).filter((value) => typeof value === "number");
  if (values.length === 0) return null;
  const sum = values.reduce((one, other) => one + other, 0);
  return { now: values.at(-1), least: Math.min(...values), most: Math.max(...values), mean: sum / values.length };
}
