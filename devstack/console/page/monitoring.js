// What watches: Prometheus, Alertmanager, the heartbeat, and the channel that shares no fault.

import { ago, byId, element, keep, setAttribute, setClass, setText } from "./dom.js";
import { on, state } from "./store.js";

// A group of lines under a title: [{ key, look, label, text, note }]
function group(title, hint, lines, empty) {
  return { title, hint, lines, empty };
}

const HEALTH = { up: "good", down: "bad", unknown: "warn" };
const ALERT = { firing: "bad", pending: "warn", inactive: "" };
const ALARM = { OK: "good", ALARM: "bad", INSUFFICIENT_DATA: "" };

function prometheus() {
  const found = state.prometheus;
  if (found === null) return [group("Prometheus", "", [], "Not running (MONITORING=0). Webhooks come from whoever posts them to the gateway.")];
  if (!found) return [];
  const alerts = found.alerts.filter((alert) => alert.severity !== "none");
  const beats = found.alerts.some((alert) => alert.severity === "none" && alert.state === "firing");
  const down = found.targets.filter((target) => target.health !== "up");
  const targets = group("Prometheus", `${found.targets.length - down.length} of ${found.targets.length} targets up${beats ? ", Watchdog fires" : ""}`,
    alerts.map((alert) => ({ key: `${alert.name} ${alert.instance} ${alert.since}`, look: ALERT[alert.state], label: alert.state, text: alert.name,
      note: [alert.summary || alert.instance, ago(Date.parse(alert.since) / 1000)].join(", ") })), "No alert is pending or firing.");
  targets.lines.push(...down.map((target) => ({ key: `target ${target.job} ${target.instance}`, look: HEALTH[target.health], label: target.health,
    text: `${target.job} ${target.instance}`, note: target.error })));
  return [targets];
}

function alertmanager() {
  const found = state.alertmanager;
  if (found === null) return [group("Alertmanager", "", [], "Not running (MONITORING=0).")];
  if (!found) return [];
  const groups = found.groups.map((g) => ({ key: JSON.stringify([g.labels, g.receiver]), look: g.silenced ? "" : g.receiver === "on-call" ? "bad" : "good",
    label: g.silenced === g.alerts ? "silenced" : `${g.alerts} alert${g.alerts === 1 ? "" : "s"}`,
    text: Object.entries(g.labels).map(([name, value]) => `${name}="${value}"`).join(" ") || "all", note: `to ${g.receiver}` }));
  const silences = found.silences.map((s) => ({ key: s.id, look: "warn", label: "silence", text: s.matchers.join(" "),
    note: `${s.comment} (${s.by}), until ${new Date(s.until).toLocaleString()}` }));
  return [group("Alertmanager", "", [...groups, ...silences], "No groups and no silences.")];
}

function cloudwatch() {
  if (!state.alarms) return [];
  const short = (name) => name.replace(/^on-call-/, "");
  const beat = state.alarms.find((alarm) => alarm.name.endsWith("heartbeat-silent"));
  const loud = state.alarms.filter((alarm) => alarm.state === "ALARM" && alarm !== beat);
  const lines = [];
  if (beat) {
    lines.push({ key: "beat", look: ALARM[beat.state], label: { OK: "beats", ALARM: "silent", INSUFFICIENT_DATA: "no data yet" }[beat.state] ?? beat.state,
      text: "heartbeat", note: "Alertmanager posts one each minute" });
  }
  lines.push(...loud.map((alarm) => ({ key: alarm.name, look: "bad", label: "alarm", text: short(alarm.name), note: "" })));
  return [group("CloudWatch", `${state.alarms.length} alarms, ${loud.length + (beat?.state === "ALARM" ? 1 : 0)} in alarm`, lines, "")];
}

// CloudWatch's messages are JSON; what the alarm is about stands in its description.
function saidBy(message) {
  if (!message.startsWith("{")) return message;
  try {
    const found = JSON.parse(message);
    return found.AlarmDescription ?? message;
  } catch {
    return message;
  }
}

function fallback() {
  if (!state.fallback) return [];
  const lines = state.fallback.slice(-5).reverse().map((m) => ({ key: `${m.time}`, look: "warn", label: ago(m.time), text: m.subject ?? "", note: saidBy(m.message) }));
  return [group("Fallback topic", lines.length ? `${state.fallback.length} ${state.fallback.length === 1 ? "message" : "messages"}` : "mail and SMS that share no fault with the rest", lines, "Nothing had to be told.")];
}

function show() {
  const groups = [...prometheus(), ...alertmanager(), ...cloudwatch(), ...fallback()];
  keep(byId("monitors"), groups, (g) => g.title,
    () => element("section", "", element("h3"), element("p", "hint"), element("ul"), element("p", "empty")), (node, g) => {
      const [title, hint, list, empty] = node.children;
      setText(title, g.title);
      setText(hint, g.hint);
      keep(list, g.lines, (l) => l.key, () => element("li", "", element("span", "pill"), element("span", "what"), element("span", "note")), (item, l) => {
        setText(item.children[0], l.label);
        setClass(item.children[0], `pill ${l.look}`);
        setText(item.children[1], l.text);
        setText(item.children[2], l.note);
        setAttribute(item.children[2], "title", l.note.length > 120 ? l.note : null); // it is cut to three lines
      });
      empty.hidden = g.lines.length > 0 || !g.empty;
      setText(empty, g.empty);
    });
}

export function start() {
  on(["prometheus", "alertmanager", "alarms", "fallback", "clock"], show);
}
