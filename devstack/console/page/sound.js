// What can be heard: the ringing, the keys, and the voice. Off until a person turns it on.

import { byId, setText } from "./dom.js";

let context = null;
let ringer = null;
let on = false;
const spoken = new Map(); // by call: how many of its texts were read out

export const isOn = () => on;

function tone(frequencies, seconds, volume = 0.06, at = 0) {
  const start = context.currentTime + at;
  const gain = context.createGain();
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(volume, start + 0.01);
  gain.gain.setValueAtTime(volume, start + seconds - 0.02);
  gain.gain.linearRampToValueAtTime(0, start + seconds);
  gain.connect(context.destination);
  for (const frequency of frequencies) {
    const oscillator = context.createOscillator();
    oscillator.frequency.value = frequency;
    oscillator.connect(gain);
    oscillator.start(start);
    oscillator.stop(start + seconds);
  }
}

const ring = () => [0, 0.6].forEach((at) => tone([440, 480], 0.4, 0.08, at));

const ROWS = { 1: 697, 2: 697, 3: 697, 4: 770, 5: 770, 6: 770, 7: 852, 8: 852, 9: 852, "*": 941, 0: 941, "#": 941 };
const COLUMNS = { 1: 1209, 4: 1209, 7: 1209, "*": 1209, 2: 1336, 5: 1336, 8: 1336, 0: 1336, 3: 1477, 6: 1477, 9: 1477, "#": 1477 };

export function key(digit) {
  if (on) tone([ROWS[digit], COLUMNS[digit]], 0.15);
}

// Called with all calls whenever they change.
export function hear(calls) {
  const ringing = calls.some((call) => call.status === "ringing");
  if (on && ringing && !ringer) {
    ring();
    ringer = setInterval(ring, 2000);
  } else if (ringer && !(on && ringing)) {
    clearInterval(ringer);
    ringer = null;
  }
  const talking = calls.filter((call) => call.status === "in-progress");
  if (!talking.length && on) globalThis.speechSynthesis?.cancel();
  for (const call of calls) {
    const before = spoken.get(call.sid) ?? 0;
    spoken.set(call.sid, call.said.length);
    if (on && call.status === "in-progress") call.said.slice(before).forEach(speak);
  }
}

function speak(text) {
  if (!globalThis.speechSynthesis) return;
  const utterance = new SpeechSynthesisUtterance(text);
  utterance.lang = /[\u3040-\u30ff\u4e00-\u9fff]/.test(text) ? "ja-JP" : "en-US";
  speechSynthesis.speak(utterance);
}

export function start(changed) {
  const button = byId("sound");
  button.addEventListener("click", () => {
    on = !on;
    context ??= new AudioContext();
    if (on) context.resume();
    else globalThis.speechSynthesis?.cancel();
    setText(button, on ? "Sound: on" : "Sound: off");
    button.setAttribute("aria-pressed", on);
    changed();
  });
}
