// What each role may do, as `streams/roles.py` has it. The server refuses the rest anyway; here it is not offered.

const EDITORS = new Set(["admin", "user"]);
const ADMIN = "admin";

export const ROLE_WORDS = {
  admin: "Admin",
  user: "User",
  "read-only": "Read only",
  player: "Player",
  publisher: "Publisher",
};

export function canEdit(me) {
  return EDITORS.has(me.role);
}

/** Stop, lock and delete streams, end sessions. */
export function canControl(me) {
  return me.role === ADMIN;
}

/** Keys, webhooks, the organisation. */
export function canManage(me) {
  return me.role === ADMIN;
}
