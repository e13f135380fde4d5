// The workspace as its readers see it: channels, messages with their threads, and what they press and write.

import { byId, clock, element, keep, link, onClick, scrollingDown, setAttribute, setText } from "./dom.js";
import { channelName, date, emojis, mrkdwn, userName } from "./mrkdwn.js";
import { changed, errors, on, send, state, trouble } from "./store.js";

let shownChannel = null; // null: the first
let chosenUser = null; // likewise
const seen = new Map(); // by channel: how many messages were there when it was last looked at
const toggled = new Map(); // by message: whether a person has opened its thread

const me = () => byId("slack-user").value;
const plain = (object) => (object?.emoji === false ? object.text : emojis(object?.text ?? ""));
const textOf = (object) => (object?.type === "mrkdwn" ? mrkdwn(object.text) : document.createTextNode(plain(object)));
const isReply = (message) => message.thread_ts && message.thread_ts !== message.ts;

// ---- blocks

function block(b, message) {
  const node = element("div", `block ${b.type.replace("_", "-")}`);
  if (b.type === "header") node.append(element("h3", "", textOf(b.text)));
  else if (b.type === "divider") node.append(element("hr"));
  else if (b.type === "context") node.append(...b.elements.map((e) => element("span", "", e.type === "image" ? e.alt_text : textOf(e))));
  else if (b.type === "actions") node.append(...b.elements.map((e) => control(e, b, message)));
  else if (b.type === "section") {
    const body = element("div", "");
    if (b.text) body.append(element("p", "", textOf(b.text)));
    if (b.fields) body.append(element("div", "fields", ...b.fields.map((f) => element("p", "", textOf(f)))));
    node.append(body, ...(b.accessory ? [control(b.accessory, b, message)] : []));
  } else if (b.type === "rich_text") node.append(...b.elements.map(rich));
  else if (b.type === "image") node.append(element("span", "soft", `[${b.alt_text}]`));
  else node.append(element("span", "soft", `[a ${b.type} block]`));
  return node;
}

function rich(e) {
  if (e.type === "rich_text_list") return element(e.style === "ordered" ? "ol" : "ul", "", ...e.elements.map((item) => element("li", "", rich(item))));
  const name = { rich_text_preformatted: "pre", rich_text_quote: "blockquote" }[e.type] ?? "p";
  return element(name, "", ...e.elements.map((part) => {
    if (part.type === "link" && /^https?:/.test(part.url)) return link(part.url, part.text ?? part.url);
    if (part.type === "date") return date(`!date^${part.timestamp}^${part.format}`, part.fallback ?? "");
    if (part.type === "broadcast") return element("span", "mention", `@${part.range}`);
    if (part.type === "user") return element("span", "mention", `@${userName(part.user_id)}`);
    if (part.type === "emoji") return document.createTextNode(emojis(`:${part.name}:`));
    return element(part.style?.code ? "code" : part.style?.bold ? "b" : part.style?.italic ? "i" : "span", "", part.text ?? "");
  }));
}

function control(e, b, message) {
  const press = (value) => pressed(e, b, message, value);
  if (e.type === "button") {
    const look = e.style ?? "";
    if (e.url) return Object.assign(link(e.url, emojis(e.text.text)), { className: `button ${look}` });
    const button = element("button", look, emojis(e.text.text));
    button.type = "button";
    button.dataset.action = `${e.action_id} ${e.value ?? ""}`;
    if (e.accessibility_label) button.setAttribute("aria-label", e.accessibility_label);
    onClick(button, () => press());
    return button;
  }
  if (e.options) { // selects, overflow menus
    const select = element("select", "");
    select.setAttribute("aria-label", e.placeholder?.text ?? "More");
    select.append(element("option", "", e.placeholder ? emojis(e.placeholder.text) : "⋯"), ...e.options.map((option) => {
      const node = element("option", "", emojis(option.text.text));
      node.value = option.value;
      return node;
    }));
    select.dataset.action = e.action_id;
    select.addEventListener("change", () => {
      if (select.selectedIndex) press(select.value);
      select.selectedIndex = 0;
    });
    return select;
  }
  return element("span", "soft", `[${e.type}]`);
}

async function pressed(e, b, message, value) {
  if (e.confirm && !await confirmed(e.confirm)) return;
  const body = { action_id: e.action_id, user: me() };
  if (b.block_id) body.block_id = b.block_id;
  if (value !== undefined) body.value = value;
  tell(await send("POST", message.ts ? `slack/messages/${message.ts}/press` : `slack/views/${message.id}/press`, body));
}

// Slack tells a person who pressed or commanded when the app did not answer in time.
function tell(outcome) {
  if (outcome && !outcome.ok) trouble(`Slack says: the app did not answer as it should (${outcome.error}, ${outcome.seconds} s).`);
}

export function confirmed({ title, text, confirm, deny, style }) {
  const dialog = byId("confirm");
  byId("confirm-title").replaceChildren(textOf(title));
  byId("confirm-text").replaceChildren(textOf(text));
  byId("confirm-yes").replaceChildren(textOf(confirm));
  byId("confirm-no").replaceChildren(textOf(deny));
  byId("confirm-yes").className = style === "danger" ? "danger" : "primary";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

// ---- messages

function makeMessage() {
  const thread = element("details", "thread", element("summary"), element("div", "replies"));
  return element("article", "message", element("span", "avatar"), element("div", "body",
    element("div", "only", "Only visible to you"), element("div", "head"), element("div", "blocks"), element("div", "reactions"), thread));
}

function updateMessage(node, message) {
  const [avatar, body] = node.children;
  const [only, head, blocks, reactions, thread] = body.children;
  const isApp = message.user === state.slack.bot;
  const shown = JSON.stringify([message, me()]);
  if (node.dataset.shown !== shown) {
    node.dataset.shown = shown;
    const focused = blocks.contains(document.activeElement) ? document.activeElement.dataset.action : null;
    node.className = `message${message.to ? " ephemeral" : ""}`;
    avatar.className = `avatar${isApp ? " app" : ""}`;
    setText(avatar, isApp ? "☎" : [...userName(message.user)][0] ?? "?");
    setAttribute(avatar, "aria-hidden", "true");
    only.hidden = !message.to;
    head.replaceChildren(element("b", "", isApp ? "On-call" : userName(message.user)), ...(isApp ? [element("span", "badge", "APP")] : []),
      Object.assign(element("time", "", clock(Number(message.ts))), { dateTime: new Date(Number(message.ts) * 1000).toISOString() }));
    const parts = (message.blocks ?? []).map((b) => block(b, message));
    if (!parts.length && message.text) parts.push(element("div", "block", element("p", "", mrkdwn(message.text))));
    for (const attachment of message.attachments ?? []) parts.push(attached(attachment, message));
    if (message.edits) parts.push(Object.assign(element("span", "edited", "(edited)"), { title: `edited ${message.edits} times` }));
    blocks.replaceChildren(...parts);
    reactions.replaceChildren(...Object.entries(message.reactions ?? {}).map(([name, users]) => element("span", "", `${emojis(`:${name}:`)} ${users.length}`)));
    reactions.hidden = !reactions.children.length;
    if (focused) [...blocks.querySelectorAll("[data-action]")].find((button) => button.dataset.action === focused)?.focus();
  }
  const replies = message.replies ?? [];
  thread.hidden = !replies.length;
  if (!replies.length) return;
  const [summary, list] = thread.children;
  setText(summary, `${replies.length} ${replies.length === 1 ? "reply" : "replies"}, the last at ${clock(Number(replies[replies.length - 1].ts))}`);
  if (!summary.dataset.heard) {
    summary.dataset.heard = "yes";
    summary.addEventListener("click", () => toggled.set(message.ts, !thread.open));
  }
  const open = toggled.get(message.ts) ?? message.isLast;
  if (thread.open !== open) thread.open = open;
  keep(list, replies, (reply) => reply.ts, makeMessage, updateMessage);
}

function attached(attachment, message) {
  const node = element("div", "attachment");
  if (/^#[0-9a-f]{6}$/i.test(attachment.color ?? "")) node.style.setProperty("--bar", attachment.color);
  const named = { good: "#2eb67d", warning: "#daa038", danger: "#e01e5a" }[attachment.color];
  if (named) node.style.setProperty("--bar", named);
  if (attachment.pretext) node.append(element("p", "", mrkdwn(attachment.pretext)));
  if (attachment.title) node.append(element("b", "", attachment.title));
  if (attachment.blocks) node.append(...attachment.blocks.map((b) => block(b, message)));
  else if (attachment.text ?? attachment.fallback) node.append(element("p", "", mrkdwn(attachment.text ?? attachment.fallback)));
  return node;
}

// ---- the app's home

const HOME = "home"; // stands beside the channels' ids

async function openHome() {
  tell(await send("POST", "slack/home", { user: me() }));
}

function showHome() {
  const view = state.slack.homes[me()];
  const home = byId("home");
  const shown = JSON.stringify(view ?? null);
  if (home.dataset.shown === shown) return;
  home.dataset.shown = shown;
  home.replaceChildren(...(view ? view.blocks.map((b) => block(b, view)) : [element("p", "empty", "Opening …")]));
}

// ---- all of it

function show() {
  if (!state.slack || (!state.responders && !errors.responders)) return; // as whom one acts is known before one can act
  byId("write").disabled = false;
  const users = (state.responders ?? []).filter((r) => r.slack_user).map((r) => ({ id: r.slack_user, name: r.name }));
  users.push({ id: "U0VISITOR", name: "a visitor" });
  if (!users.some((user) => user.id === chosenUser)) chosenUser = null;
  keep(byId("slack-user"), users, (u) => u.id, (u) => Object.assign(element("option", ""), { value: u.id }), (o, u) => setText(o, u.name));
  byId("slack-user").value = chosenUser ?? users[0].id;
  const all = [...state.slack.messages, ...state.slack.ephemerals.filter((message) => message.to === me())]
    .sort((a, b) => (a.ts < b.ts ? -1 : 1));
  const channels = Object.values(state.slack.channels).map((channel) => ({ ...channel, count: all.filter((m) => m.channel === channel.id).length }));
  channels.push({ id: HOME, name: "Home", count: 0 });
  const here = channels.some((c) => c.id === shownChannel) ? shownChannel : channels[0].id;
  seen.set(here, all.filter((m) => m.channel === here).length);
  keep(byId("channels"), channels, (c) => c.id, makeTab, (tab, c) => {
    setText(tab, c.id === HOME ? "Home" : `${c.name === "directmessage" ? "" : "# "}${channelName(c.id)}`);
    setAttribute(tab, "aria-pressed", c.id === here);
    const unread = c.count - (seen.get(c.id) ?? 0);
    tab.className = unread > 0 ? "unread" : "";
    setAttribute(tab, "title", unread > 0 ? `${unread} new` : null);
  });
  const inside = all.filter((m) => m.channel === here);
  const tops = inside.filter((m) => !isReply(m));
  const shown = tops.map((m, i) => ({ ...m, isLast: i === tops.length - 1, replies: inside.filter((r) => isReply(r) && r.thread_ts === m.ts) }));
  byId("home").hidden = here !== HOME;
  byId("messages").hidden = here === HOME;
  byId("composer").hidden = here === HOME;
  byId("no-messages").hidden = tops.length > 0 || here === HOME;
  if (here === HOME) showHome();
  scrollingDown(byId("channel"), () => keep(byId("messages"), shown, (m) => m.ts, makeMessage, updateMessage));
}

function makeTab(channel) {
  const tab = element("button", "");
  tab.type = "button";
  tab.addEventListener("click", () => {
    shownChannel = channel.id;
    changed("slack");
    if (channel.id === HOME) openHome();
  });
  return tab;
}

async function write(event) {
  event.preventDefault();
  const input = byId("write");
  const text = input.value.trim();
  const channel = [...byId("channels").children].find((tab) => tab.getAttribute("aria-pressed") === "true")?.dataset.key;
  if (!text || !channel) return;
  input.value = "";
  const command = /^(\/[a-z0-9_-]+)(?:\s+([\s\S]*))?$/.exec(text);
  if (command) tell(await send("POST", "slack/commands", { command: command[1], text: command[2] ?? "", user: me(), channel }));
  else await send("POST", "slack/messages", { channel, user: me(), text });
}

export function start() {
  on(["slack", "responders"], show);
  byId("slack-user").addEventListener("change", () => {
    chosenUser = byId("slack-user").value;
    changed("slack");
    if (shownChannel === HOME) openHome();
  });
  byId("composer").addEventListener("submit", write);
}
