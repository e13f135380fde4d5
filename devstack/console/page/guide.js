// The first minute: what happens, what to do next, and how long each hop took.

import { byId, clock, element, keep, lasted, onClick, setAttribute, setClass, setText } from "./dom.js";
import { act, ringing, talking } from "./phones.js";
import { on, send, state } from "./store.js";

// Somebody presses a button of an incident's message in Slack.
function press(incident, action) {
  const message = (state.slack?.messages ?? []).find((one) => (one.blocks ?? []).some((block) =>
    (block.elements ?? []).some((element) => element.action_id === action && element.value === incident.id)));
  const user = (state.responders ?? []).find((responder) => responder.slack_user)?.slack_user;
  return message && user && (() => send("POST", `slack/messages/${message.ts}/press`, { action_id: action, user }));
}

const doing = { primary: null, more: null };

// Where we are: { step (0 to 5), title, why, primary: [label, action], more: [label, action] }
function scene() {
  const site = state.site;
  const isDown = site && (site.status !== 200 || site.delay > 0);
  const open = (state.incidents ?? []).filter((incident) => incident.state !== "resolved");
  const fix = ["Fix the site", () => send("PUT", "faults/site", { choice: "" })];
  const call = ringing();
  const talk = talking();
  if (talk && !/[12]$/.test(talk.call.digits)) {
    return { step: 4, title: `Listen, and press 1 on ${talk.name}’s phone`, why: "1 takes it. 2 passes it on to the next person, 3 says it again. Only a key counts: voicemail cannot press one.",
      primary: ["Press 1", () => act(talk.call, "press", { digits: "1" })], more: ["Press 2: pass it on", () => act(talk.call, "press", { digits: "2" })] };
  }
  if (call) {
    return { step: 3, title: `${call.name}’s phone rings`, why: "Answer it, or decline it and see the next responder’s phone ring at once.",
      primary: ["Answer", () => act(call.call, "answer")], more: ["Decline", () => act(call.call, "decline")] };
  }
  const triggered = open.find((incident) => incident.state === "triggered");
  if (triggered) {
    const quiet = triggered.timeline.findLast((event) => event.kind !== "repeated");
    if (quiet?.kind === "quiet") {
      const until = Number(quiet.detail.until) / 1000;
      return { step: 3, title: `${quiet.who} is still at work on the last one`, why: `So phones stay quiet until ${clock(until)}, and Slack asks first. If nobody takes it by then, they ring.`, primary: null, more: isDown && fix };
    }
    return triggered.unanswered
      ? { step: 3, title: "Nobody took it", why: "The fallback topic has been told. Alertmanager’s next repeat rings again; Slack’s button still takes it.", primary: isDown && fix }
      : { step: 3, title: "It is critical: a phone is about to ring", why: `${triggered.summary}. Slack has the message at the same time: phone and Slack never wait for each other.`, primary: null, more: isDown && fix };
  }
  const byHand = open.find((incident) => incident.state === "acknowledged" && incident.by_hand);
  if (byHand && !isDown) {
    const resolve = press(byHand, "resolve");
    return { step: 5, title: `${byHand.by || "Somebody"} has it. Resolve it when it is over`, why: `A person paged, so no alert ends it: “Resolve” in Slack does, or oncall resolve ${byHand.id}.`,
      primary: resolve && ["Resolve it", resolve] };
  }
  const taken = open.find((incident) => incident.state === "acknowledged");
  if (taken) {
    return isDown
      ? { step: 5, title: `${taken.by || "Somebody"} has it. Fix the site`, why: "Slack shows who has it and tells the story in the thread. Nobody else is rung.", primary: fix }
      : { step: 5, title: "The site answers again", why: "Prometheus sees it, Alertmanager says “resolved”, Slack shows that it is over.", primary: null };
  }
  if (isDown) {
    const firing = (state.prometheus?.alerts ?? []).find((alert) => alert.severity !== "none");
    const muted = (state.alertmanager?.groups ?? []).some((group) => group.silenced);
    if (muted) {
      return { step: 2, title: "The alert is muted", why: "Alertmanager has a silence for it, so nothing reaches the platform and no phone rings. If the site is still down when it ends, the phone rings.", primary: fix };
    }
    const ended = (state.incidents ?? [])[0]?.timeline.findLast((event) => event.kind === "resolved");
    if (ended?.who && firing?.state === "firing" && ended.at > Date.parse(firing.since) / 1000) {
      return { step: 5, title: `${ended.who} has resolved it, and the site is still down`, why: "No phone rings for it now. The alert’s next repeat opens a new incident, and the phone rings again.", primary: fix };
    }
    if (state.prometheus === null) return { step: 2, title: "The site is down, and nothing watches it", why: "This devstack runs without Prometheus (MONITORING=0).", primary: fix };
    return { step: firing ? 2 : 1, title: firing?.state === "firing" ? "The alert fires" : firing ? "Prometheus has noticed" : "The site is down",
      why: "Prometheus asks it every second, and waits three more before it believes it (five minutes in production). Then Alertmanager posts to the gateway.", primary: null, more: fix };
  }
  const again = ["Break the site", () => send("PUT", "faults/site", { choice: "503" })];
  if (state.prometheus === null) {
    const user = (state.responders ?? []).find((responder) => responder.slack_user)?.slack_user;
    const page = () => send("POST", "slack/commands", { command: "/oncall", text: "page product-a The shop does not answer", user });
    return { step: 0, title: "Page somebody by hand", why: "This devstack runs without Prometheus (MONITORING=0), so a person pages: “/oncall page product-a …” in Slack.", primary: user && ["Page product-a", page] };
  }
  if ((state.incidents ?? []).length) {
    return { step: 6, title: "All green again", why: "Now let something fail: set the first phone to “no answer”, or lose Twilio’s callbacks below. Then break the site once more.", primary: ["Break it again", again[1]] };
  }
  return { step: 0, title: "Break the site, and a phone rings", why: "Everything here is the real thing on this machine: Prometheus, Alertmanager, the functions, the state machine. Only the telephones and Slack are simulated.", primary: again };
}

// When the site broke and when Prometheus saw it, epoch seconds; null for who came later.
let wasDown = null;
const moments = { broke: null, noticed: null };

function note() {
  const isDown = state.site.status !== 200 || state.site.delay > 0;
  if (wasDown === false && isDown) Object.assign(moments, { broke: Date.now() / 1000, noticed: null });
  wasDown = isDown;
  const alert = (state.prometheus?.alerts ?? []).find((one) => one.severity !== "none");
  if (alert && moments.broke) moments.noticed ??= Date.parse(alert.since) / 1000;
}

// The hops of the newest incident, with seconds since the site broke, or since the alert for who did not see that.
function hops(step) {
  const incident = (state.incidents ?? [])[0];
  const story = step && step < 6 && incident?.state === "resolved" ? [] : incident?.timeline ?? []; // a new one is on its way
  const at = (kind) => story.find((event) => event.kind === kind)?.at;
  const { broke, noticed } = !story.length || at("triggered") > moments.broke ? moments : {};
  const first = broke ?? at("triggered");
  const after = (moment) => (!moment || !first ? "" : moment === first ? "0 s" : `+${lasted(Math.max(0, moment - first))}`);
  const times = [broke, noticed, at("triggered"), at("ringing"), at("acknowledged"), at("resolved")].map(after);
  const names = ["Site breaks", "Prometheus sees it", incident?.by_hand ? "Page accepted" : "Alert accepted", "Phone rings", "Key pressed", "Resolved"];
  const all = names.map((name, i) => ({ name, time: times[i], look: step === 6 || i < step ? "done" : i === step ? "here" : "" }));
  return incident?.by_hand && step > 2 ? all.slice(2) : all; // who pages by hand needs neither
}

function show() {
  if (!state.site || !state.incidents) return;
  note();
  const found = scene();
  setText(byId("guide-step"), found.step === 0 ? "Start here" : found.step === 6 ? "It works" : `Step ${found.step + 1} of 6`);
  setText(byId("guide-now"), found.title);
  setText(byId("guide-why"), found.why);
  doing.primary = found.primary || null;
  doing.more = found.more || null;
  for (const [name, id] of [["primary", "guide-do"], ["more", "guide-more"]]) {
    byId(id).hidden = !doing[name];
    if (doing[name]) setText(byId(id), doing[name][0]);
  }
  const ring = found.step === 3 && found.primary && found.title.endsWith("rings");
  setClass(byId("guide"), ring ? "ringing" : found.step === 6 ? "green" : "");
  keep(byId("hops"), hops(found.step), (hop) => hop.name, () => element("li", "", element("b"), element("span")), (item, hop) => {
    setText(item.children[0], hop.name);
    setText(item.children[1], hop.time);
    setClass(item, hop.look);
    setAttribute(item, "aria-current", hop.look === "here" ? "step" : null);
  });
}

export function start() {
  on(["site", "calls", "incidents", "prometheus", "alertmanager", "slack", "responders", "faults"], show);
  onClick(byId("guide-do"), () => doing.primary?.[1]());
  onClick(byId("guide-more"), () => doing.more?.[1]());
}

