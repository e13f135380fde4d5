"""What Slack's readers see of an incident: its message, and the lines of its thread. In Japanese or English.

Slack: 50 blocks a message, header 150, section text 3,000, button value 2,000, about 13,000 characters in all.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from oncall.roster import Language
from oncall.store import Item

# The action_ids of the buttons; their value is the incident's id.
ACKNOWLEDGE = "acknowledge"
RING_NEXT = "ring_next"
RESOLVE = "resolve"
TAKE_SHIFT = "take_shift"

SHOWN_ALERTS = 5
LISTED = 2_800  # characters of the alerts' lines; one has at most 1,800

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "triggered": "Triggered: nobody has it yet",
        "unanswered": "UNANSWERED: nobody took the calls",
        "acknowledged": "Acknowledged: {who} has it",
        "resolved": "Resolved",
        "warning": "Warning",
        "critical": "Critical",
        "no_call": "nobody is called for this product",
        "product": "Product",
        "since": "Since",
        "alerts": "Alerts",
        "firing": "{count} firing",
        "more": "… and {count} more",
        "cut": "The webhook had {count} characters and was cut to fit.",
        "incident": "Incident {id}",
        "graph": "graph",
        "runbook": "runbook",
        "alertmanager": "Alertmanager",
        "acknowledge": "Acknowledge",
        "ring_next": "Ring the next one",
        "resolve": "Resolve",
        "resolve_title": "Resolve this incident?",
        "resolve_text": "No phone rings for it any more. If its alerts still fire, their next repeat opens a new incident.",
        "resolve_deny": "Keep it open",
        "take_shift": "Take the shift",
        "event_triggered": "The alert fired.",
        "event_resolved": "Resolved.",
        "event_resolved_by": "Resolved: {who} ended it {via}.",
        "event_acknowledged": "Acknowledged: {who} took it {via}.",
        "event_acknowledged_many": "Acknowledged: {who} took it {via}, with {covered} incidents in all.",
        "event_unanswered": "Nobody took it (rounds: {rounds}). The fallback channel was told. The next repeat calls again.",
        "event_nobody": "Nobody is on call, so nobody was called. The fallback channel was told. The next repeat tries again.",
        "event_ringing": "Calling {who} …",
        "event_call_ended": "{who}: {status} after {seconds} s.",
        "event_refused": "{who} cannot be called: {reason}. Please correct the number in the roster.",
        "event_joined": "Joined the calls for incident {incident}.",
        "event_repeated": "Alertmanager repeated the alert.",
        "event_quiet": "{who} is at work on the last one, so nobody is called before {until}. Please take it before.",
        "event_reminded": "{who} has had this for a long time. If it is not resolved soon, the phones ring again.",
        "event_overdue": "{who} has had this for too long without resolving it. The phones ring again.",
        "event_new_alerts": "{count} more alerts fire.",
        "event_worse": "It has become critical.",
        "event_resumed": "The calls had stopped and go on.",
        "event_ring_next": "{who} asked for the next one {via}.",
        "event_shift_taken": "{who} is on call until {until}.",
        "event_unavailable": "Twilio takes no calls ({reason}). Trying again until it does.",
        "via_phone": "by phone",
        "via_slack": "in Slack",
        "via_command": "by command",
        "busy": "busy",
        "no-answer": "no answer",
        "failed": "the call failed",
        "canceled": "the call was stopped",
        "completed": "the call ended without a key",
        "passed": "passed it on",
        "taken": "took it",
    },
    "ja": {
        "triggered": "未対応 (triggered)",
        "unanswered": "応答なし (unanswered): 誰も対応できませんでした",
        "acknowledged": "{who}さんが対応中 (acknowledged)",
        "resolved": "解決しました (resolved)",
        "warning": "警告",
        "critical": "重大",
        "no_call": "このプロダクトは架電なし",
        "product": "プロダクト",
        "since": "発生",
        "alerts": "アラート",
        "firing": "{count}件発生中",
        "more": "… ほか{count}件",
        "cut": "Webhookが{count}文字あったため、一部を省略しました。",
        "incident": "インシデント {id}",
        "graph": "グラフ",
        "runbook": "手順書",
        "alertmanager": "Alertmanager",
        "acknowledge": "対応する",
        "ring_next": "次の人に架電する",
        "resolve": "解決済みにする",
        "resolve_title": "解決済みにしますか?",
        "resolve_text": "このインシデントの架電は止まります。アラートが続いていれば、次の再通知で新しいインシデントになります。",
        "resolve_deny": "やめる",
        "take_shift": "当番を代わる",
        "event_triggered": "アラートが発生しました。",
        "event_resolved": "解決しました (resolved)。",
        "event_resolved_by": "{who}さんが{via}解決済みにしました (resolved)。",
        "event_acknowledged": "{who}さんが{via}対応を引き受けました (acknowledged)。",
        "event_acknowledged_many": "{who}さんが{via}、全{covered}件のインシデントの対応を引き受けました (acknowledged)。",
        "event_unanswered": "誰も対応できませんでした({rounds}巡)。予備の連絡先に通知しました。再通知時にもう一度架電します。",
        "event_nobody": "当番がいないため、誰にも架電していません。予備の連絡先に通知しました。再通知時にもう一度試みます。",
        "event_ringing": "{who}さんに架電中 …",
        "event_call_ended": "{who}さん: {status}({seconds}秒)。",
        "event_refused": "{who}さんに架電できません({reason})。名簿の電話番号を直してください。",
        "event_joined": "インシデント {incident} の架電に加わりました。",
        "event_repeated": "Alertmanagerから再通知がありました。",
        "event_quiet": "{who}さんが前の件に対応中のため、{until}までは架電しません。それまでに引き受けてください。",
        "event_reminded": "{who}さんの対応が長引いています。まもなく解決しなければ、もう一度架電します。",
        "event_overdue": "{who}さんの対応が長引いているため、もう一度架電します。",
        "event_new_alerts": "アラートが{count}件増えました。",
        "event_worse": "重大に変わりました。",
        "event_resumed": "止まっていた架電を再開しました。",
        "event_ring_next": "{who}さんが{via}次の人への架電を求めました。",
        "event_shift_taken": "{until}まで{who}さんが当番です。",
        "event_unavailable": "Twilioが架電を受け付けません({reason})。つながるまで続けます。",
        "via_phone": "電話で",
        "via_slack": "Slackで",
        "via_command": "コマンドで",
        "busy": "話し中",
        "no-answer": "応答なし",
        "failed": "つながりませんでした",
        "canceled": "架電を中止しました",
        "completed": "番号を押さずに切れました",
        "passed": "次の人に回しました",
        "taken": "対応を引き受けました",
    },
}

# Colour and words both: an emoji alone is not readable by everyone.
_SIGNS = {"triggered": "🔴", "unanswered": "🆘", "acknowledged": "🟡", "resolved": "🟢", "warning": "🟠"}


def message(incident: Item, language: Language) -> tuple[str, list[dict[str, Any]]]:
    """The incident's message: its text (for notifications) and its blocks."""
    words = _WORDS[language]
    state = "unanswered" if incident["state"] == "triggered" and incident.get("unanswered") else incident["state"]
    sign = _SIGNS["warning" if state == "triggered" and incident["severity"] == "warning" else state]
    status = words[state].format(who=incident.get("acknowledged_by", ""))
    if state == "triggered" and not incident["call"]:
        status = f"{status} ({words['no_call']})"
    text = f"{sign} {status}: {words[incident['severity']]}: {incident['summary']}"
    facts = [
        f"*{words['product']}:* {escape(incident['product'] or '-', 100)}",
        f"*{words['since']}:* {_time(incident['opened_at'])}",
        f"*{words['alerts']}:* {words['firing'].format(count=incident['firing'])}",
    ]
    lines: list[str] = []
    for alert in incident["alerts"][:SHOWN_ALERTS]:
        listed = f"• {escape(alert['title'], 200)}{_about(alert, incident)}{_links(alert, words)}"
        if sum(map(len, lines)) + len(listed) <= LISTED:  # cut between alerts: half a link would be broken markup
            lines.append(listed)
    more = len(incident["alerts"]) - len(lines) + incident["left_out"]
    if more > 0:
        lines.append(words["more"].format(count=more))
    notes = [words["incident"].format(id=incident["id"])]
    if incident["external_url"]:
        notes.append(_link(incident["external_url"], words["alertmanager"]))
    if incident["cut_characters"]:
        notes.append(words["cut"].format(count=incident["cut_characters"]))
    if incident["severity_note"]:
        notes.append(escape(incident["severity_note"], 200))
    blocks: list[dict[str, Any]] = [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": _cut(f"{sign} {incident['summary']}", 150), "emoji": True},
        },
        _section(f"*{escape(status, 200)}* ({words[incident['severity']]})"),
        _section("   ".join(facts)),
        _section("\n".join(lines)),
        {"type": "context", "elements": [{"type": "mrkdwn", "text": " | ".join(filter(None, notes))}]},
    ]
    buttons = _buttons(incident, words)
    if buttons:
        # What is behind the last slash tells a press how old is what was seen.
        seen = f"{incident['id']}/{incident['changed_at']}"
        blocks.append({"type": "actions", "block_id": seen, "elements": buttons})
    return escape(text, 1000), blocks


def line(event: Mapping[str, Any], language: Language) -> str:
    """One event of the timeline, as a line of the thread."""
    words = _WORDS[language]
    detail = dict(event["detail"])
    kind = event["kind"]
    if kind == "call_ended" and detail.get("reason") and not detail.get("answered"):
        kind = "refused"
    if kind == "unanswered" and not detail["rounds"]:
        kind = "nobody"
    if kind == "acknowledged" and detail.get("covered", 1) > 1:
        kind = "acknowledged_many"
    if kind == "resolved" and event["who"]:
        kind = "resolved_by"
    values = {name: escape(str(value), 300) for name, value in detail.items()}
    values["who"] = f"<@{detail['slack_user']}>" if detail.get("slack_user") else escape(str(event["who"]), 100)
    if "until" in detail:
        values["until"] = _time(detail["until"])
    if "via" in detail:
        values["via"] = words[f"via_{detail['via']}"]
    if "status" in detail:
        values["status"] = words[str(detail["status"])]
    return words[f"event_{kind}"].format(**values)


def escape(text: str, limit: int) -> str:
    """A text in which nothing is a link or a mention, at most `limit` characters. Slack: & < > are written as entities."""
    escaped = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(escaped) <= limit:
        return escaped
    return re.sub("&[a-z]{0,3}$", "", escaped[: limit - 1]) + "…"  # no half of an entity


def _buttons(incident: Item, words: Mapping[str, str]) -> list[dict[str, Any]]:
    """What can be done about an incident, the most urgent first."""
    if incident["state"] == "resolved":
        return []
    rings = incident["severity"] == "critical" and incident["call"]
    buttons = []
    if incident["state"] == "triggered":
        buttons.append(_button(incident, words, ACKNOWLEDGE, style="primary"))
        if rings and not incident.get("unanswered"):
            buttons.append(_button(incident, words, RING_NEXT))
    confirm = {
        "title": _plain(words["resolve_title"]),
        "text": _plain(words["resolve_text"]),
        "confirm": _plain(words["resolve"]),
        "deny": _plain(words["resolve_deny"]),
        "style": "danger",
    }
    buttons.append(_button(incident, words, RESOLVE, style="danger", confirm=confirm))
    if rings:
        buttons.append(_button(incident, words, TAKE_SHIFT))
    return buttons


def _button(incident: Item, words: Mapping[str, str], action: str, **more: Any) -> dict[str, Any]:
    return {"type": "button", "text": _plain(words[action]), "action_id": action, "value": incident["id"], **more}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def _about(alert: Mapping[str, Any], incident: Item) -> str:
    """What an alert's annotations add to the headline."""
    words = alert["annotations"].get("description") or alert["annotations"].get("summary") or ""
    return "" if not words or words == incident["summary"] else f"\n    {escape(words, 300)}"


def _links(alert: Mapping[str, Any], words: Mapping[str, str]) -> str:
    links = [
        _link(url, words[name])
        for name, url in (("graph", alert["generator_url"]), ("runbook", alert["annotations"].get("runbook_url", "")))
        if url
    ]
    return f" ({', '.join(filter(None, links))})" if any(links) else ""


def _link(url: str, words: str) -> str:
    """A link, if it is one: whatever stands in a label can be no other markup."""
    address = url.replace("&", "&amp;")
    if not re.fullmatch(r"https?://[^<>|\s]{1,600}", address):
        return ""
    return f"<{address}|{words}>"


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _time(milliseconds: int) -> str:
    """A moment in the reader's own time zone (Slack: <!date^epoch^format|fallback>)."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"<!date^{milliseconds // 1000}^{{date_short_pretty}} {{time}}|{moment:%Y-%m-%d %H:%M} UTC>"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
