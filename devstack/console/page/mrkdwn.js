// Slack's markup as nodes: mrkdwn, emoji, mentions, links, and dates in the reader's zone.

import { element, link } from "./dom.js";
import { state } from "./store.js";

const EMOJI = {
  rotating_light: "🚨", white_check_mark: "✅", heavy_check_mark: "✔️", warning: "⚠️", telephone_receiver: "📞", phone: "☎️",
  bell: "🔔", fire: "🔥", red_circle: "🔴", large_green_circle: "🟢", large_yellow_circle: "🟡", large_orange_circle: "🟠",
  large_blue_circle: "🔵", white_circle: "⚪", eyes: "👀", hourglass: "⌛", hourglass_flowing_sand: "⏳", x: "❌", no_entry: "⛔",
  speech_balloon: "💬", sos: "🆘", "+1": "👍", wave: "👋", calendar: "📅", link: "🔗", mute: "🔇", no_bell: "🔕", mag: "🔍",
  chart_with_upwards_trend: "📈", book: "📖", arrows_counterclockwise: "🔄", bust_in_silhouette: "👤", clock3: "🕒", test_tube: "🧪",
};
const INLINE = new RegExp([
  "<(?<angle>[^<>]+)>", "`(?<code>[^`\\n]+)`", "(?<!\\w)\\*(?<bold>\\S|\\S[^*\\n]*?\\S)\\*(?!\\w)",
  "(?<!\\w)_(?<italic>\\S|\\S[^_\\n]*?\\S)_(?!\\w)", "(?<!\\w)~(?<strike>\\S|\\S[^~\\n]*?\\S)~(?!\\w)", ":(?<emoji>[a-z0-9_+-]+):",
].join("|"), "g");

const plain = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

export const emojis = (text) => text.replace(/:([a-z0-9_+-]+):/g, (all, name) => (Object.hasOwn(EMOJI, name) ? EMOJI[name] : all));

export function mrkdwn(text) {
  const result = document.createDocumentFragment();
  text.split("```").forEach((part, index) => {
    if (index % 2) {
      result.append(element("pre", "", plain(part.replace(/^\n/, ""))));
      return;
    }
    for (const lines of part.split(/((?:^(?:&gt;|>).*\n?)+)/m)) {
      if (!lines) continue;
      if (/^(&gt;|>)/.test(lines)) {
        result.append(element("blockquote", "", inline(lines.replace(/^(&gt;|>) ?/gm, "").replace(/\n$/, ""))));
      } else result.append(inline(lines));
    }
  });
  return result;
}

function inline(text) {
  const result = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    result.append(plain(text.slice(end, match.index)));
    end = match.index + match[0].length;
    const { angle, code, bold, italic, strike, emoji } = match.groups;
    if (angle) result.append(angled(angle));
    else if (code) result.append(element("code", "", plain(code)));
    else if (bold) result.append(element("b", "", inline(bold)));
    else if (italic) result.append(element("i", "", inline(italic)));
    else if (strike) result.append(element("s", "", inline(strike)));
    else result.append(Object.hasOwn(EMOJI, emoji) ? EMOJI[emoji] : match[0]);
  }
  result.append(plain(text.slice(end)));
  return result;
}

// What stands between < and >: a link, a mention, or a date.
function angled(inside) {
  const bar = inside.indexOf("|");
  const target = bar < 0 ? inside : inside.slice(0, bar);
  const label = bar < 0 ? "" : plain(inside.slice(bar + 1));
  if (target.startsWith("@")) return element("span", "mention", `@${userName(target.slice(1))}`);
  if (target.startsWith("#")) return element("span", "mention", `#${label || channelName(target.slice(1))}`);
  if (target.startsWith("!date^")) return date(target, label);
  if (target.startsWith("!")) return element("span", "mention loud", `@${label || target.slice(1).split("^").pop()}`);
  if (!/^(https?:\/\/|mailto:)/i.test(target)) return element("span", "", plain(`<${inside}>`));
  return link(plain(target), label || plain(target));
}

// <!date^seconds^format^link|fallback>; Slack: "Formatting text for app surfaces".
export function date(target, fallback) {
  const [, seconds, format = "", url = ""] = target.split("^");
  const moment = new Date(Number(seconds) * 1000);
  if (Number.isNaN(moment.getTime())) return element("span", "", fallback);
  const day = (options) => moment.toLocaleDateString(undefined, options);
  const pretty = (options) => {
    const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(moment).setHours(0, 0, 0, 0)) / 86_400_000);
    return Math.abs(days) > 1 ? day(options) : new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(-days, "day");
  };
  const short = { month: "short", day: "numeric", year: "numeric" };
  const long = { weekday: "long", month: "long", day: "numeric", year: "numeric" };
  const normal = { month: "long", day: "numeric", year: "numeric" };
  const time = (options) => moment.toLocaleTimeString(undefined, options);
  const words = {
    date_num: () => day({ year: "numeric", month: "2-digit", day: "2-digit" }), date: () => day(normal), date_short: () => day(short), date_long: () => day(long),
    date_pretty: () => pretty(normal), date_short_pretty: () => pretty(short), date_long_pretty: () => pretty(long),
    time: () => time({ hour: "numeric", minute: "2-digit" }), time_secs: () => time({ hour: "numeric", minute: "2-digit", second: "2-digit" }),
    ago: () => `${Math.max(0, Math.round((Date.now() - moment) / 60_000))} minutes ago`,
  };
  const text = plain(format).replace(/\{(\w+)\}/g, (all, name) => words[name]?.() ?? all);
  const node = element("time", "", /^https?:/.test(url) ? link(plain(url), text) : text);
  node.dateTime = moment.toISOString();
  node.title = fallback;
  return node;
}

export const userName = (id) => (state.responders ?? []).find((r) => r.slack_user === id)?.name ?? state.slack?.users?.[id]?.name ?? id;

export function channelName(id) {
  const channel = state.slack?.channels?.[id];
  return channel?.name === "directmessage" ? userName(`U${id.slice(1)}`) : channel?.name ?? id;
}
