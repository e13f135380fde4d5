// What the devstack says of itself, followed by server-sent events: a value for each part, and who wants to know of it.

import { byId, setText } from "./dom.js";

export const state = {}; // by part: its last value; null before the first
export const errors = {};
const wishes = []; // [parts, show]
const dirty = new Set();
let source = null;
let heard = 0; // when there was the last word, milliseconds
let patience = 1000; // until the next try, milliseconds
let troubleUntil = 0;

// Call `show` whenever one of these parts has changed; "clock" changes each second.
export function on(parts, show) {
  wishes.push([parts, show]);
}

export function changed(part) {
  if (!dirty.size) setTimeout(show, 0);
  dirty.add(part);
}

function show() {
  const parts = new Set(dirty);
  dirty.clear();
  for (const [wanted, render] of wishes) {
    if (!wanted.some((part) => parts.has(part))) continue;
    try {
      render();
    } catch (error) { // one part of the page less, not all
      reportError(error);
    }
  }
}

export async function send(method, path, body) {
  try {
    const answer = await fetch(`/api/${path}`, {
      method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}),
    });
    const text = await answer.text();
    if (answer.ok) return JSON.parse(text);
    let reason = text;
    try {
      reason = JSON.parse(text).error ?? text;
    } catch { /* it is no JSON: shown as it is */ }
    trouble(`Not done: ${String(reason).slice(0, 300)}`);
  } catch (error) {
    trouble(`Not done: the devstack does not answer (${error.message}).`);
  }
  return null;
}

export function trouble(text) {
  setText(byId("trouble"), text);
  byId("trouble").hidden = false;
  troubleUntil = Date.now() + 8000;
}

function tick() {
  changed("clock");
  const silent = !document.hidden && source !== null && Date.now() - heard > 4000 + (source.readyState === EventSource.OPEN ? 8000 : 0);
  byId("away").hidden = !silent;
  if (silent) setText(byId("away"), "The devstack does not answer. If it has ended, start it again with make demo: this page comes back by itself.");
  if (Date.now() < troubleUntil) return;
  const failing = Object.entries(errors).filter(([, error]) => error);
  byId("trouble").hidden = !failing.length || silent;
  if (failing.length) setText(byId("trouble"), failing.map(([part, error]) => `No ${part}: ${error}`).join("\n"));
}

export function connect() {
  if (source && source.readyState !== EventSource.CLOSED) return;
  source = new EventSource("/api/events");
  heard = Math.max(heard, Date.now() - 2000);
  source.onopen = () => {
    heard = Date.now();
    patience = 1000;
  };
  source.onmessage = (message) => {
    heard = Date.now();
    const { part, value, error } = JSON.parse(message.data);
    errors[part] = error;
    if (!error) state[part] = value; // else what was known last stays
    changed(part);
  };
  source.addEventListener("alive", () => { heard = Date.now(); });
  source.onerror = () => { // the browser tries again by itself, unless it was refused
    if (source?.readyState !== EventSource.CLOSED) return;
    setTimeout(connect, patience);
    patience = Math.min(patience * 2, 15_000);
  };
}

export function disconnect() {
  source?.close();
  source = null;
}

export function start(isNeeded) {
  setInterval(tick, 1000);
  // A tab that nobody sees lets go of its connection; a browser has six for all tabs.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && !isNeeded()) disconnect();
    else connect();
  });
  connect();
}
