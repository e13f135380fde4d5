// The phones: who is called, the call that runs, and what was heard.

import { ago, byId, element, keep, onClick, scrollingDown, setAttribute, setClass, setText } from "./dom.js";
import { changed, on, send, state } from "./store.js";
import * as sound from "./sound.js";

const BEHAVIOURS = { // of a phone, and what the control is sent
  "by hand": { behaviour: "ring" },
  "answers, presses 1": { behaviour: "answer", digits: "1" },
  "answers, presses 2": { behaviour: "answer", digits: "2" },
  "answers, presses nothing": { behaviour: "answer" },
  "no answer": { behaviour: "no-answer" },
  "busy": { behaviour: "busy" },
  "call fails": { behaviour: "failed" },
  "voicemail": { behaviour: "voicemail" },
  "number is invalid": { behaviour: "invalid" },
  "country is forbidden": { behaviour: "forbidden" },
};
const CALLING = new Set(["queued", "initiated", "ringing", "in-progress"]);
const STATUS = { queued: "queued", initiated: "dialling", ringing: "ringing", "in-progress": "in a call" };
const LOOK = { queued: "warn", initiated: "warn", ringing: "bad", "in-progress": "good" };
const ENDS = { busy: "busy", "no-answer": "no answer", failed: "failed", canceled: "stopped by the caller" };

export function phones() {
  const calls = state.calls ?? [];
  const known = (state.responders ?? []).filter((r) => r.phone).map((r) => ({ name: r.name, number: r.phone }));
  const strangers = [...new Set(calls.map((call) => call.to))].filter((number) => !known.some((phone) => phone.number === number));
  const all = [...known, ...strangers.map((number) => ({ name: "Not in the roster", number }))].map((phone) => {
    const own = calls.filter((call) => call.to === phone.number);
    const call = ["in-progress", "ringing", ...CALLING].map((status) => own.find((c) => c.status === status)).find(Boolean) ?? own[own.length - 1];
    return { ...phone, call, count: own.length, texts: (state.texts ?? []).filter((text) => text.to === phone.number) };
  });
  const last = calls[calls.length - 1];
  const running = all.filter((phone) => phone.call && CALLING.has(phone.call.status));
  const rest = all.filter((phone) => !running.includes(phone));
  return [...running, ...rest].map((phone) => ({ ...phone, isOpen: running.includes(phone) || (!running.length && Boolean(last) && phone.call === last) }));
}

export const ringing = () => phones().find((phone) => phone.call?.status === "ringing");
export const talking = () => phones().find((phone) => phone.call?.status === "in-progress");

export function act(call, what, body) {
  if (what === "press") sound.key(body.digits);
  return send("POST", `twilio/calls/${call.sid}/${what}`, body);
}

function make(phone) {
  const node = byId("device-template").content.firstElementChild.cloneNode(true);
  const call = () => phones().find((p) => p.number === phone.number)?.call;
  const doing = (what, body) => () => call() && act(call(), what, body);
  onClick(node.querySelector(".answer"), doing("answer"));
  onClick(node.querySelector(".decline"), doing("decline"));
  onClick(node.querySelector(".hang-up"), doing("hang-up"));
  for (const digit of "123456789*0#") {
    const button = element("button", "", digit);
    button.type = "button";
    onClick(button, doing("press", { digits: digit }));
    node.querySelector(".keypad").append(button);
  }
  const select = node.querySelector("select");
  select.append(...Object.keys(BEHAVIOURS).map((name) => element("option", "", name)));
  select.setAttribute("aria-label", `Next calls to ${phone.name}`);
  select.addEventListener("change", () => send("PUT", `twilio/lines/${phone.number}`, BEHAVIOURS[select.value]));
  return node;
}

function chosen(line) {
  if (!line) return "by hand";
  return Object.entries(BEHAVIOURS).find(([, b]) => b.behaviour === line.behaviour && (b.digits ?? "") === line.digits)?.[0];
}

function timer(call) {
  const seconds = Math.max(0, Math.floor(Date.now() / 1000 - call.answered_at));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function ending(call) {
  const how = call.status === "completed"
    ? (call.answered_by === "machine" ? "voicemail" : call.digits ? `pressed ${[...call.digits].join(" ")}` : "no key pressed")
    : ENDS[call.status] ?? call.status;
  return `${how}, ${ago(call.ended_at ?? call.created_at)}`;
}

function update(node, phone) {
  const { call } = phone;
  const calling = Boolean(call) && CALLING.has(call.status);
  const isRinging = calling && call.status === "ringing";
  const isTalking = calling && call.status === "in-progress";
  setAttribute(node, "aria-label", `Phone of ${phone.name}`);
  setClass(node, `phone ${isRinging ? "ringing" : isTalking ? "talking" : calling ? "dialling" : "idle"}`);
  setText(node.querySelector("h3"), phone.name);
  setText(node.querySelector(".avatar"), [...phone.name][0] ?? "?");
  const pill = node.querySelector(".pill");
  setText(pill, calling ? STATUS[call.status] : "");
  setClass(pill, `pill ${calling ? LOOK[call.status] : ""}`);
  pill.hidden = !calling;
  const place = (state.order?.order ?? []).findIndex((o) => o.phone === phone.number);
  setText(node.querySelector(".number"), phone.number);
  setAttribute(node.querySelector(".avatar"), "data-place", place < 0 ? null : place + 1);
  setAttribute(node.querySelector(".avatar"), "title", place < 0 ? null : `rung as number ${place + 1}`);

  node.querySelector(".screen").hidden = !phone.isOpen;
  const last = node.querySelector(".last");
  last.hidden = !call || calling || phone.isOpen;
  if (call && !calling) setText(last, ending(call));
  if (phone.isOpen) {
    setText(node.querySelector(".caller"), call.provider === "telnyx" ? `${call.from}, through Telnyx` : call.from);
    setText(node.querySelector(".time"), isTalking ? timer(call) : calling ? `${STATUS[call.status]} …` : ending(call));
    node.querySelector(".keypad").hidden = !isTalking;
    node.querySelector(".answer").hidden = node.querySelector(".decline").hidden = !isRinging;
    node.querySelector(".hang-up").hidden = !isTalking;
    const heard = call.said.map((text) => ({ text, look: "" }));
    if (call.digits && calling) heard.push({ text: `Pressed ${[...call.digits].join(" ")}`, look: "pressed" });
    const said = node.querySelector(".said");
    said.hidden = !heard.length;
    scrollingDown(said, () => keep(said, heard.map((h, i) => ({ ...h, i })), (h) => `${call.sid} ${h.i} ${h.look}`,
      (h) => element("p", h.look), (line, h) => setText(line, h.text)));
  }
  const texts = node.querySelector(".texts");
  texts.hidden = !phone.texts.length;
  keep(texts, phone.texts.slice(-2), (text) => text.sid,
    () => element("p", "sms", element("b", "", "SMS "), element("span"), element("small")), (line, text) => {
      setText(line.children[1], text.body);
      setText(line.children[2], ago(text.created_at));
    });
  const select = node.querySelector("select");
  const line = (state.lines ?? {})[phone.number];
  if (document.activeElement !== select && state.lines) select.value = chosen(line) ?? "";
  setClass(select, select.value === "by hand" ? "" : "set");
  select.hidden = calling;
}

let announced = "";

function show() {
  const all = phones();
  byId("no-phones").hidden = all.length > 0 || !state.responders;
  keep(byId("phone-list"), all, (phone) => phone.number, make, update);
  const rings = all.filter((phone) => phone.call?.status === "ringing").map((phone) => phone.name);
  const title = rings.length ? `☎ ${rings.join(", ")} – On-call devstack` : "On-call devstack";
  if (document.title !== title) document.title = title;
  const words = rings.length ? `The phone of ${rings.join(" and ")} is ringing. A answers, D declines.` : "";
  if (words !== announced) setText(byId("announce"), announced = words);
}

export function start() {
  on(["calls", "responders", "lines", "texts", "order"], show);
  on(["clock"], show);
  on(["calls", "sound"], () => sound.hear(state.calls ?? []));
  sound.start(() => changed("sound"));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.closest("select, input, dialog")) return;
    const wanted = { a: ".answer", d: ".decline", h: ".hang-up" }[event.key];
    const buttons = [...document.querySelectorAll(wanted ?? ".keypad button")].filter((button) => button.checkVisibility());
    (wanted ? buttons[0] : buttons.find((button) => button.textContent === event.key))?.click();
  });
}
