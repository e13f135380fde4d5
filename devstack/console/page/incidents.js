// The table: incidents with their timelines, and who is on call.

import { byId, clock, element, keep, lasted, setAttribute, setClass, setText } from "./dom.js";
import { on, state } from "./store.js";

export const LOOK = { triggered: "bad", unanswered: "bad", acknowledged: "warn", resolved: "good" };
export const stateOf = (incident) => (incident.state === "triggered" && incident.unanswered ? "unanswered" : incident.state);
const VIA = { phone: "by phone", slack: "in Slack", command: "by command" };
const WORDS = { // by the kind of event; what is not here is shown by its own name
  triggered: () => "triggered",
  resolved: (e) => (e.who ? `resolved by ${e.who} ${VIA[e.detail.via] ?? ""}` : "resolved"),
  acknowledged: (e) => `${e.who} took it ${VIA[e.detail.via] ?? ""}${Number(e.detail.covered) > 1 ? `, with ${e.detail.covered} incidents in all` : ""}`,
  ringing: (e) => `calling ${e.who}${Number(e.detail.round) > 1 ? `, round ${e.detail.round}` : ""}`,
  call_ended: (e) => `${e.who}: ${e.detail.status}${e.detail.reason ? ` (${e.detail.reason})` : ""} after ${e.detail.seconds} s`,
  unanswered: (e) => `nobody took it (rounds: ${e.detail.rounds})`,
  repeated: () => "Alertmanager repeated it",
  joined: (e) => `joined the calls for ${e.detail.incident}`,
  new_alerts: (e) => `${e.detail.count} more alerts`,
  worse: () => "became critical",
  resumed: () => "the calls had stopped and go on",
  unavailable: (e) => `Twilio takes no calls (${e.detail.reason})`,
};

function said(event) {
  const words = WORDS[event.kind]?.(event);
  if (words) return words.trim();
  const detail = Object.entries(event.detail).map(([name, value]) => `${name} ${value}`).join(", ");
  return [event.kind.replaceAll("_", " "), event.who, detail && `(${detail})`].filter(Boolean).join(" ");
}

function make() {
  return element("details", "incident", element("summary", "", element("span", "pill"), element("span", "what"), element("span", "meta")), element("ol", "timeline"));
}

function update(node, incident) {
  const [summary, timeline] = node.children;
  const [pill, what, meta] = summary.children;
  setText(pill, stateOf(incident));
  setClass(pill, `pill ${LOOK[stateOf(incident)] ?? ""}`);
  setText(what, incident.summary);
  setText(meta, [incident.product || "no product", incident.severity, incident.by && `${incident.by} has it`, clock(incident.opened_at)].filter(Boolean).join(" · "));
  if (incident.state === "resolved") setText(meta, meta.textContent.replace(" has it", ""));
  keep(timeline, incident.timeline.map((event, i) => ({ ...event, i })), (event) => event.i,
    () => element("li", "", element("time"), element("span")), (line, event) => {
      setText(line.children[0], event.i ? `+${lasted(event.at - incident.timeline[0].at)}` : clock(event.at));
      setText(line.children[1], said(event));
      setClass(line, event.kind);
    });
}

function showIncidents() {
  const incidents = state.incidents ?? [];
  byId("no-incidents").hidden = incidents.length > 0 || !state.incidents;
  const open = incidents.filter((incident) => incident.state !== "resolved").length;
  setText(byId("incident-count"), incidents.length ? `${open} open of ${incidents.length}${incidents.length >= 30 ? " shown" : ""}` : "");
  keep(byId("incident-list"), incidents, (incident) => incident.id, (incident) => {
    const node = make(incident);
    node.open = incident === incidents[0];
    return node;
  }, update);
}

function showOrder() {
  const found = state.order;
  byId("no-order").hidden = !found || found.order.length > 0;
  setText(byId("no-order"), "Nobody would be rung.");
  setText(byId("duty-policy"), found ? `policy ${found.policy}` : "");
  keep(byId("order"), (found?.order ?? []).map((o, i) => ({ ...o, i })), (o) => `${o.i} ${o.id}`,
    () => element("li", "", element("b"), element("span")), (item, o) => {
      setText(item.children[0], o.name);
      setText(item.children[1], o.reason);
      setAttribute(item, "class", o.i ? null : "first");
    });
}

export function start() {
  on(["incidents"], showIncidents);
  on(["order"], showOrder);
}
