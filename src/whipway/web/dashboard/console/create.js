// A new stream.

import { h, replace, setText } from "./elements.js";
import { canEdit } from "./rights.js";
import { TagField } from "./tag_field.js";
import { troubleWords } from "./trouble.js";

const TITLE = "Create a stream";
const WHAT = "The server gives it a name and an address to publish to. Nothing else is needed.";
const TAGS_HINT = "To find it again, and for players to choose by. You can change them later.";
const NOT_YOURS = "Your role may look at streams, and not create any.";

/** A form with one button. */
export async function mount(root, { api, me, navigate }) {
  if (!canEdit(me)) {
    const way = h("p", {}, h("a", { class: "button", href: "/streams" }, "All streams"));
    replace(root, h("section", { class: "panel trouble" }, h("h1", {}, TITLE), h("p", {}, NOT_YOURS), way));
    return;
  }
  const tags = new TagField(api, { id: "tags", label: "Tags", hint: TAGS_HINT, action: "Add" });
  const trouble = h("p", { class: "detail warnings", role: "alert" });
  const button = h("button", { class: "button primary", type: "submit" }, "Create");
  const form = h("form", { class: "panel narrow", "aria-labelledby": "create-title" },
    h("p", {}, WHAT), tags.element, trouble,
    h("div", { class: "ways" }, button, h("a", { class: "button quiet", href: "/streams" }, "Cancel")));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tags.take();
    button.disabled = true;
    try {
      const { id } = await api.post("/v1/streams", { tags: tags.tags });
      navigate(`/streams/${encodeURIComponent(id)}/start`, { replace: true });
    } catch (error) {
      button.disabled = false;
      setText(trouble, troubleWords(error));
    }
  });
  const head = h("div", { class: "view-head" }, h("h1", { id: "create-title" }, TITLE));
  replace(root, h("div", { class: "stack-wide" }, head, form));
}
