// How a media worker fares, in plain words. Nothing here touches the page.

import { bitrateWords } from "../shared/words.js";

const UNKNOWN = "–";
const BUSY_PERCENT = 70; // Of a core. Worth a look,
const FULL_PERCENT = 90; // and about where the server gives it no more sessions.

const STATES = { starting: "Starting", running: "Running", draining: "Draining" };

/**
 * `{standing, state, place, cpu, level, figures}` of a worker as the API has it. What only the worker knows is null
 * there while it cannot be asked. `standing`: "up", "starting", "away" or "draining"; `level`: "", "busy" or "full".
 */
export function workerView(worker) {
  const { cpu_percent: cpu, sessions, bitrate_in: bitrate, loop_lag_ms: lag } = worker;
  return {
    ...stateOf(worker),
    place: worker.process_id ? `Port ${worker.port}, process ${worker.process_id}` : `Port ${worker.port}, no process`,
    cpu: known(cpu, () => `${Math.round(cpu)} %`),
    level: cpu >= FULL_PERCENT ? "full" : cpu >= BUSY_PERCENT ? "busy" : "",
    figures: {
      sessions: known(sessions, () => sessions.toLocaleString()),
      bitrate: known(bitrate, () => bitrateWords(bitrate)),
      lag: known(lag, () => `${lag.toFixed(lag < 10 ? 1 : 0)} ms`),
      restarts: worker.restarts.toLocaleString(),
      lost: worker.lost_sessions.toLocaleString(),
    },
  };
}

/** "2 of 3 running". */
export function runningWords(workers) {
  const running = workers.filter((worker) => ["up", "draining"].includes(stateOf(worker).standing));
  return `${running.length} of ${workers.length} running`;
}

function stateOf({ state, sessions, restarts, lost_sessions: lost }) {
  if (state === "starting" && restarts + lost > 0) return { standing: "away", state: "Starting anew" };
  if (state === "starting") return { standing: "starting", state: STATES.starting };
  if (typeof sessions !== "number") return { standing: "away", state: "Does not answer" };
  return { standing: state === "draining" ? "draining" : "up", state: STATES[state] ?? state };
}

function known(value, words) {
  return typeof value === "number" ? words() : UNKNOWN;
}
