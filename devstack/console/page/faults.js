// The switches of what can fail.

import { byId, element, keep, onClick, setAttribute, setClass, setText } from "./dom.js";
import { on, send, state } from "./store.js";

function make(entry) {
  const node = element("fieldset", "", element("legend"), element("div", "choices"), element("p", "hint"));
  setText(node.children[0], entry.title);
  setText(node.children[2], entry.hint);
  const choices = [{ id: "", label: "works" }, ...entry.choices];
  node.children[1].append(...choices.map((choice) => {
    const input = Object.assign(element("input"), { type: "radio", name: `fault-${entry.id}`, value: choice.id });
    input.addEventListener("change", () => send("PUT", `faults/${entry.id}`, { choice: choice.id }));
    return element("label", choice.id ? "" : "works", input, element("span", "", choice.label));
  }));
  return node;
}

function update(node, entry) {
  for (const input of node.querySelectorAll("input")) input.checked = input.value === entry.chosen;
  setClass(node, entry.chosen ? "on" : "");
  setAttribute(node, "data-chosen", entry.chosen);
}

export function broken() {
  const found = state.faults;
  if (!found) return [];
  const words = (s) => `${s.title}: ${s.choices.find((c) => c.id === s.chosen)?.label ?? "another fault"}`;
  return [...found.switches.filter((s) => s.chosen).map((s) => ({ id: s.id, words: words(s) })), ...found.others.map((other) => ({ id: "other", words: other }))];
}

function show() {
  keep(byId("switches"), state.faults?.switches ?? [], (entry) => entry.id, make, update);
  const faults = broken();
  byId("faulty").hidden = !faults.length;
  setText(byId("faulty").children[0], faults.length ? `Broken on purpose – ${faults.map((f) => f.words).join("; ")}` : "");
}

export function start() {
  on(["faults"], show);
  onClick(byId("fix-all"), () => send("DELETE", "faults"));
}
