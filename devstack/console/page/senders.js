// One alert of each sender, and its end.

import { byId, element, keep, onClick, setText } from "./dom.js";
import { on, send, state } from "./store.js";

const WORDS = [["firing", "Fire"], ["resolved", "Resolve"]];

function make(entry) {
  const node = element("div", "sender", element("h3"));
  node.setAttribute("role", "group");
  node.append(...WORDS.map(([word, label]) => {
    const button = Object.assign(element("button", "quiet", label), { type: "button" });
    button.setAttribute("aria-label", `${label}: ${entry.title}`);
    onClick(button, () => send("POST", `senders/${entry.id}`, { choice: word }));
    return button;
  }));
  return node;
}

function show() {
  const found = state.senders ?? [];
  byId("senders").hidden = !found.length;
  keep(byId("sender-list"), found, (entry) => entry.id, make, (node, entry) => setText(node.children[0], entry.title));
}

export function start() {
  on(["senders"], show);
}
