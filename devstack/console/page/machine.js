// The state machine: its picture as the devstack computed it, lit by what an execution does.

import { ago, byId, clock, element, keep, lasted, setAttribute, setClass, setText, svg } from "./dom.js";
import { changed, on, state } from "./store.js";

const MARGIN = 8;
const FOLLOW = ""; // the select's first choice
const WORDS = { RUNNING: "runs", SUCCEEDED: "succeeded", FAILED: "failed", ABORTED: "was stopped", TIMED_OUT: "timed out" };
const RANK = { failed: 4, current: 3, caught: 2, done: 1 };
let drawn = "";
let inSight = ""; // on a narrow screen, what the picture was scrolled to

function path(points) {
  const [[x, y], ...rest] = points;
  let last = [x, y];
  let d = `M${x},${y}`;
  for (const [tx, ty] of rest) {
    const middle = (last[1] + ty) / 2;
    d += last[0] === tx ? `V${ty}` : `C${last[0]},${middle} ${tx},${middle} ${tx},${ty}`;
    last = [tx, ty];
  }
  return d;
}

function draw() {
  const machine = state.machine;
  if (!machine) return;
  const text = JSON.stringify(machine);
  if (text === drawn) return;
  drawn = text;
  const view = `${-MARGIN} ${-MARGIN} ${machine.width + 2 * MARGIN} ${machine.height + 2 * MARGIN}`;
  const arrow = (id) => svg("marker", { id, viewBox: "0 0 8 8", refX: 6.5, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" },
    svg("path", { d: "M0.5,0.5 L7.5,4 L0.5,7.5 z" }));
  const picture = svg("svg", { viewBox: view, width: machine.width + 2 * MARGIN, height: machine.height + 2 * MARGIN, "aria-hidden": "true" },
    svg("defs", {}, arrow("arrow"), arrow("arrow-taken")));
  const box = (node) => svg("rect", { x: node.x, y: node.y, width: node.width, height: node.height,
    rx: node.is_box ? 10 : node.type === "Choice" || node.type === "Succeed" || node.type === "Fail" ? node.height / 2 : 6 });
  for (const node of machine.nodes.filter((n) => n.is_box)) picture.append(group(node, box(node)));
  const lines = svg("g", {});
  for (const edge of machine.edges) {
    const line = svg("path", { d: path(edge.points), class: `edge ${edge.kind}` });
    line.dataset.edge = `${edge.source} ${edge.target}`;
    lines.append(line);
  }
  picture.append(lines);
  for (const node of machine.nodes.filter((n) => !n.is_box)) picture.append(group(node, box(node)));
  byId("graph").replaceChildren(picture);
  byId("graph").scrollLeft = (byId("graph").scrollWidth - byId("graph").clientWidth) / 2; // on a narrow screen
}

function group(node, box) {
  const x = node.x + node.width / 2;
  const first = node.is_box ? node.y + 16 : node.y + node.height / 2 + 4 - (node.lines.length - 1) * 7;
  const label = svg("text", { x }, ...node.lines.map((line, i) => {
    const part = svg("tspan", { x, y: first + i * 14 });
    part.textContent = line;
    return part;
  }));
  const count = svg("text", { class: "count", x: node.x + node.width - 4, y: node.y - 3 });
  const made = svg("g", { class: "node" }, svg("title"), box, label, count);
  made.dataset.state = node.name;
  made.dataset.comment = node.comment;
  if (node.is_box) made.dataset.box = "yes";
  return made;
}

function shown() {
  const executions = state.executions ?? [];
  const wanted = byId("execution").value;
  return executions.find((e) => e.name === wanted)
    // What matters is the newest page that still runs: repeats and resolved alerts have short executions of their own.
    ?? executions.find((e) => e.status === "RUNNING" && e.action === "page") ?? executions.find((e) => e.status === "RUNNING")
    ?? executions.find((e) => e.action === "page" && e.stopped_at && Date.now() / 1000 - e.stopped_at < 15) ?? executions[0];
}

function light() {
  draw();
  const executions = state.executions ?? [];
  const select = byId("execution");
  select.hidden = !executions.length;
  keep(select, [{ name: FOLLOW }, ...executions], (e) => e.name, (e) => Object.assign(element("option", ""), { value: e.name }), (option, e) => {
    setText(option, e.name === FOLLOW ? "what happens now" : `${clock(e.started_at)} ${e.title}${e.action ? ` (${e.action})` : ""}, ${WORDS[e.status] ?? e.status}`);
  });
  const execution = shown();
  if (!execution) {
    setText(byId("execution-line"), executions.length || !state.executions ? "" : "Nothing has run yet. An alert lights the way that it takes.");
  } else {
    const how = execution.status === "RUNNING" ? `runs for ${lasted(Date.now() / 1000 - execution.started_at)}`
      : `${WORDS[execution.status] ?? execution.status}${execution.failure ? ` (${execution.failure})` : ""} after ${lasted(execution.stopped_at - execution.started_at)}, ${ago(execution.stopped_at)}`;
    setText(byId("execution-line"), [execution.title, how].filter(Boolean).join(" – "));
  }
  const visits = new Map();
  for (const visit of execution?.visits ?? []) visits.set(visit.state, [...(visits.get(visit.state) ?? []), visit]);
  const taken = new Set((execution?.taken ?? []).map(([from, to]) => `${from} ${to}`));
  for (const node of byId("graph").querySelectorAll(".node")) {
    const own = visits.get(node.dataset.state) ?? [];
    const last = own[own.length - 1];
    const errors = own.flatMap((visit) => visit.errors);
    const look = !last ? "" : own.map((v) => v.look).reduce((a, b) => (RANK[a] > RANK[b] ? a : b));
    setClass(node, `node ${node.dataset.box ? "box" : ""} ${look} ${errors.length && look === "done" ? "retried" : ""}`);
    setText(node.querySelector(".count"), own.length > 1 ? `×${own.length}` : "");
    setText(node.querySelector("title"), [node.dataset.state, node.dataset.comment, ...new Set(errors)].filter(Boolean).join("\n"));
  }
  for (const edge of byId("graph").querySelectorAll(".edge")) {
    const [, kind] = edge.getAttribute("class").split(" ");
    const isTaken = taken.has(edge.dataset.edge);
    if (isTaken && !edge.classList.contains("taken")) edge.parentNode.append(edge); // above those that were not
    setClass(edge, `edge ${kind} ${isTaken ? "taken" : ""}`);
  }
  const current = (execution?.visits ?? []).filter((v) => v.look === "current").map((v) => v.state);
  setAttribute(byId("graph"), "aria-label", execution ? `State machine: ${current.join(", ") || "nothing"} now` : "State machine");
  if (current.join() !== inSight) {
    inSight = current.join();
    const node = [...byId("graph").querySelectorAll(".node.current")].pop();
    if (node) byId("graph").scrollLeft += node.getBoundingClientRect().left - byId("graph").getBoundingClientRect().left - byId("graph").clientWidth / 2 + 50;
  }
  keep(byId("visits"), (execution?.visits ?? []).map((v, i) => ({ ...v, i })), (v) => `${execution.name} ${v.i}`, () => element("li"), (item, v) => {
    setText(item, `${v.state}: ${v.look}${v.errors.length ? ` (${v.errors.join(", ")})` : ""}`);
    setAttribute(item, "aria-current", v.look === "current" ? "step" : null);
  });
}

export function start() {
  on(["machine", "executions", "clock"], light);
  byId("execution").addEventListener("change", () => changed("executions"));
}
