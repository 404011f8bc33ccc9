// Keys, webhooks and the organisation: for admins.

import { h, replace } from "./elements.js";
import { KeysPanel } from "./keys_panel.js";
import { OrganisationPanel } from "./organisation_panel.js";
import { canManage } from "./rights.js";
import { WebhooksPanel } from "./webhooks_panel.js";

const NOT_YOURS = "Keys, webhooks and the organisation are for admins.";

export async function mount(root, { api, me, signal }) {
  if (!canManage(me)) {
    replace(root, h("section", { class: "panel trouble" }, h("h1", {}, "Settings"), h("p", {}, NOT_YOURS)));
    return;
  }
  const panels = [KeysPanel, WebhooksPanel, OrganisationPanel].map((Panel) => new Panel(api, signal));
  const head = h("div", { class: "view-head" }, h("h1", {}, "Settings"));
  replace(root, h("div", { class: "stack-wide" }, head, panels.map(({ element }) => element)));
  await Promise.all(panels.map((panel) => panel.load()));
}
