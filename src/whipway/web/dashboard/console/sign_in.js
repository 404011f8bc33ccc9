// Signing in with a key. The browser keeps no key, unless the person lets it: it gets a cookie in exchange.

import { sentence } from "../shared/words.js";
import { h } from "./elements.js";

const REFUSED = 401;
const TOO_MANY = 429;
const ENDED = "Your sign-in has ended. Sign in again to go on where you were.";

/** `query`: `next` is where to go then; `ended`: somebody was signed in before. */
export async function mount(root, { query, navigate, me, signIn }) {
  const next = nextOf(query);
  if (me) return navigate(next, { replace: true });
  const key = h("input", {
    id: "key", type: "password", required: true, maxlength: "256", spellcheck: "false", autocapitalize: "none",
    autocomplete: "current-password", "aria-describedby": "key-hint key-trouble", placeholder: "wk_…",
  });
  const trouble = h("p", { class: "detail field-trouble", id: "key-trouble", role: "alert" });
  const button = h("button", { class: "button primary", type: "submit" }, "Sign in");
  const form = h("form", { class: "stack" },
    // Managers of passwords ask for a name to keep a password by.
    h("input", { type: "text", value: "whipway", autocomplete: "username", hidden: true }),
    h("div", { class: "field" }, h("label", { for: "key" }, "Key"), key, trouble),
    button);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await signIn(key.value.trim());
      navigate(next, { replace: true });
    } catch (error) {
      button.disabled = false;
      trouble.textContent = refusalWords(error);
      key.setAttribute("aria-invalid", "true");
      key.focus();
      key.select();
    }
  });
  root.replaceChildren(h("section", { class: "panel sign-in" },
    h("h1", {}, "Sign in"),
    query.has("ended") ? h("p", { class: "detail warnings" }, ENDED) : null,
    form, hints()));
  key.focus();
}

function hints() {
  return h("div", { class: "hint stack", id: "key-hint" },
    h("p", {}, "The server prints a key when it starts for the first time. To make another, run on the server:"),
    h("code", { class: "address" }, "whipway keys create --role admin"));
}

function refusalWords(error) {
  if (error.status === REFUSED) return "This key is not known here, or has ended. Look whether you have all of it.";
  if (error.status === TOO_MANY) return "Too many attempts. Wait a minute, then try again.";
  return sentence(error.detail);
}

/** A path of this server, and no other address: what stands in a link may come from anybody. */
function nextOf(query) {
  const next = query.get("next") ?? "/";
  return /^\/(?![/\\])/.test(next) ? next : "/";
}
