// The first minute: what happens, what to do next, and how long each hop took.

import { byId, clock, element, keep, lasted, onClick, setAttribute, setClass, setText } from "./dom.js";
import { WORDS } from "./guide_words.js";
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

// Where we are: { step (0 to 6), title, why, primary: [label, action], more: [label, action], rings }
function scene(words) {
  const site = state.site;
  const isDown = site && (site.status !== 200 || site.delay > 0);
  const open = (state.incidents ?? []).filter((incident) => incident.state !== "resolved");
  const fix = [words.fix, () => send("PUT", "faults/site", { choice: "" })];
  const call = ringing();
  const talk = talking();
  if (talk && !/[12]$/.test(talk.call.digits)) {
    return { step: 4, title: words.listen(talk.name), why: words.listenWhy,
      primary: [words.press1, () => act(talk.call, "press", { digits: "1" })], more: [words.press2, () => act(talk.call, "press", { digits: "2" })] };
  }
  if (call) {
    return { step: 3, title: words.rings(call.name), why: words.ringsWhy, rings: true,
      primary: [words.answer, () => act(call.call, "answer")], more: [words.decline, () => act(call.call, "decline")] };
  }
  const triggered = open.find((incident) => incident.state === "triggered");
  if (triggered) {
    const quiet = triggered.timeline.findLast((event) => event.kind !== "repeated");
    if (quiet?.kind === "quiet") {
      const until = Number(quiet.detail.until) / 1000;
      return { step: 3, title: words.quiet(quiet.who), why: words.quietWhy(clock(until)), primary: null, more: isDown && fix };
    }
    return triggered.unanswered
      ? { step: 3, title: words.nobody, why: words.nobodyWhy, primary: isDown && fix }
      : { step: 3, title: words.soon, why: words.soonWhy(triggered.summary), primary: null, more: isDown && fix };
  }
  const byHand = open.find((incident) => incident.state === "acknowledged" && incident.by_hand);
  if (byHand && !isDown) {
    const resolve = press(byHand, "resolve");
    return { step: 5, title: words.hasPage(byHand.by || words.somebody), why: words.hasPageWhy(byHand.id), primary: resolve && [words.resolve, resolve] };
  }
  const taken = open.find((incident) => incident.state === "acknowledged");
  if (taken) {
    return isDown
      ? { step: 5, title: words.has(taken.by || words.somebody), why: words.hasWhy, primary: fix }
      : { step: 5, title: words.answers, why: words.answersWhy, primary: null };
  }
  if (isDown) {
    const firing = (state.prometheus?.alerts ?? []).find((alert) => alert.severity !== "none");
    const muted = (state.alertmanager?.groups ?? []).some((group) => group.silenced);
    if (muted) {
      return { step: 2, title: words.muted, why: words.mutedWhy, primary: fix };
    }
    const ended = (state.incidents ?? [])[0]?.timeline.findLast((event) => event.kind === "resolved");
    if (ended?.who && firing?.state === "firing" && ended.at > Date.parse(firing.since) / 1000) {
      return { step: 5, title: words.ended(ended.who), why: words.endedWhy, primary: fix };
    }
    if (state.prometheus === null) return { step: 2, title: words.unwatched, why: words.unwatchedWhy, primary: fix };
    return { step: firing ? 2 : 1, title: firing?.state === "firing" ? words.fires : firing ? words.noticed : words.down, why: words.downWhy, primary: null, more: fix };
  }
  const again = [words.break, () => send("PUT", "faults/site", { choice: "503" })];
  if (state.prometheus === null) {
    const user = (state.responders ?? []).find((responder) => responder.slack_user)?.slack_user;
    const page = () => send("POST", "slack/commands", { command: "/oncall", text: `page product-a ${words.pageText}`, user });
    return { step: 0, title: words.page, why: words.pageWhy, primary: user && [words.pageDo, page] };
  }
  if ((state.incidents ?? []).length) {
    return { step: 6, title: words.green, why: words.greenWhy, primary: [words.again, again[1]] };
  }
  return { step: 0, title: words.first, why: words.firstWhy, primary: again };
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
function hops(step, words) {
  const incident = (state.incidents ?? [])[0];
  const story = step && step < 6 && incident?.state === "resolved" ? [] : incident?.timeline ?? []; // a new one is on its way
  const at = (kind) => story.find((event) => event.kind === kind)?.at;
  const { broke, noticed } = !story.length || at("triggered") > moments.broke ? moments : {};
  const first = broke ?? at("triggered");
  const after = (moment) => (!moment || !first ? "" : moment === first ? "0 s" : `+${lasted(Math.max(0, moment - first))}`);
  const times = [broke, noticed, at("triggered"), at("ringing"), at("acknowledged"), at("resolved")].map(after);
  const all = words.hops.with(2, incident?.by_hand ? words.byHand : words.hops[2]).map((name, i) => ({ name, time: times[i], look: step === 6 || i < step ? "done" : i === step ? "here" : "" }));
  return incident?.by_hand && step > 2 ? all.slice(2) : all; // who pages by hand needs neither
}

function show() {
  if (!state.site || !state.incidents) return;
  note();
  const language = state.language?.language ?? "en";
  const words = WORDS[language];
  const found = scene(words);
  setAttribute(byId("guide"), "lang", language);
  setText(byId("guide-step"), found.step === 0 ? words.start : found.step === 6 ? words.works : words.step(found.step + 1));
  setText(byId("guide-now"), found.title);
  setText(byId("guide-why"), found.why);
  doing.primary = found.primary || null;
  doing.more = found.more || null;
  for (const [name, id] of [["primary", "guide-do"], ["more", "guide-more"]]) {
    byId(id).hidden = !doing[name];
    if (doing[name]) setText(byId(id), doing[name][0]);
  }
  setClass(byId("guide"), found.rings ? "ringing" : found.step === 6 ? "green" : "");
  keep(byId("hops"), hops(found.step, words), (hop) => hop.name, () => element("li", "", element("b"), element("span")), (item, hop) => {
    setText(item.children[0], hop.name);
    setText(item.children[1], hop.time);
    setClass(item, hop.look);
    setAttribute(item, "aria-current", hop.look === "here" ? "step" : null);
  });
}

export function start() {
  on(["site", "calls", "incidents", "prometheus", "alertmanager", "slack", "responders", "faults", "language"], show);
  onClick(byId("guide-do"), () => doing.primary?.[1]());
  onClick(byId("guide-more"), () => doing.more?.[1]());
}

