// What is shown in the place of a view that cannot be shown.

import { ApiError } from "./api.js";
import { h } from "./elements.js";
import { sentence } from "../shared/words.js";

const FORBIDDEN = 403;

/** `again()` tries once more. */
export function troubleView(error, again) {
  return h("section", { class: "panel trouble", role: "alert" },
    h("h1", {}, headlineOf(error)),
    h("p", {}, troubleWords(error)),
    h("p", {}, h("button", { class: "button", type: "button", onclick: again }, "Try again")));
}

/** Why something was not done, as a sentence. */
export function troubleWords(error) {
  if (!(error instanceof ApiError)) return sentence(String(error.message ?? error));
  const status = error.status ? ` (HTTP ${error.status})` : "";
  return `${sentence(error.detail)}${status}`;
}

function headlineOf(error) {
  if (!(error instanceof ApiError)) return "Something went wrong in this page";
  if (error.status === 0) return "The server cannot be reached";
  return error.status === FORBIDDEN ? "This is not for your role" : "The server did not do it";
}
