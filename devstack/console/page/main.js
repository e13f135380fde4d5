// The page: everything that it shows comes from store.js, part by part.

import { byId, setAttribute } from "./dom.js";
import * as faults from "./faults.js";
import * as guide from "./guide.js";
import * as incidents from "./incidents.js";
import * as machine from "./machine.js";
import * as monitoring from "./monitoring.js";
import * as phones from "./phones.js";
import * as senders from "./senders.js";
import * as slack from "./slack.js";
import * as sound from "./sound.js";
import { on, send, start, state } from "./store.js";

on(["links"], () => {
  for (const [name, url] of Object.entries(state.links)) {
    byId(`link-${name}`).hidden = !url;
    setAttribute(byId(`link-${name}`), "href", url || null);
  }
});
// Calls and Slack speak the reader's language, as far as the browser says it; the reader may choose another.
let isAsked = false;
on(["language"], () => {
  const wanted = navigator.language.startsWith("ja") ? "ja" : "en";
  byId("language").value = state.language.language;
  if (isAsked || state.language.chosen || wanted === state.language.language) return;
  isAsked = true;
  send("PUT", "language", { choice: wanted });
});
byId("language").addEventListener("change", () => send("PUT", "language", { choice: byId("language").value }));

for (const part of [guide, phones, slack, machine, incidents, monitoring, senders, faults]) part.start();
start(sound.isOn); // one who listens wants to hear a phone in a hidden tab too
