"""Alarms of CloudWatch that come by topics of SNS: subscribed, signed, and the same alerts as by EventBridge."""

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from oncall import events
from oncall.alerts import keys
from oncall.alerts.keys import Key
from oncall.clock import at
from oncall.events import Reply
from oncall.roster.sources import CLOUDWATCH
from oncall.table import Put
from tests.builders import GATEWAY, World
from tests.certificates import END, START, certificate_of, new_key
from tests.functional.test_cloudwatch_incidents import changed

SECRET = "0123456789abcdef0123456789abcdef"
ACCOUNT, REGION = "123456789012", "eu-central-1"
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms"
FOREIGN = f"arn:aws:sns:{REGION}:999999999999:alarms"
HOST = f"https://sns.{REGION}.amazonaws.com"
CERTIFICATE = f"{HOST}/SimpleNotificationService-0123456789abcdef.pem"
KEY = new_key()


class Sns:
    """SNS as its documentation has it, and a stack that a topic is subscribed to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.pages: dict[str, bytes | Exception] = {CERTIFICATE: certificate_of(KEY)}
        self.asked: list[str] = []
        self.started = world.started
        world.settings["stack"] = "on-call"
        item = keys.item(SECRET, Key("alarms", source=CLOUDWATCH), created_at=at(world.clock.now()), created_by="me")
        world.table.transact([Put(item)])
        world.roster({"SOURCE#cloudwatch": {"topics": [TOPIC, FOREIGN]}})

    def fetch(self, address: str) -> bytes:
        self.asked.append(address)
        found = self.pages[address]
        if isinstance(found, Exception):
            raise found
        return found

    def says(self, kind: str, message: str, *, version: str = "2", **more: Any) -> dict[str, Any]:
        """What SNS posts, signed."""
        at_ = at(self.world.clock.now()).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        body = {"Type": kind, "MessageId": "165545c9", "TopicArn": TOPIC, "Message": message, "Timestamp": at_, **more}
        if kind != "Notification":
            body = {"Token": "2336412f37", "SubscribeURL": confirm(body["TopicArn"]), **body}
        signed = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
        text = "".join(f"{name}\n{body[name]}\n" for name in signed if name in body)
        by = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303  SNS's version 1
        signature = b64encode(KEY.sign(text.encode(), padding.PKCS1v15(), by)).decode()
        return {**body, "SignatureVersion": version, "Signature": signature, "SigningCertURL": CERTIFICATE}

    def alarm(self, state: str, seconds: int = 0, **more: Any) -> dict[str, Any]:
        """An alarm's notification."""
        return self.says("Notification", json.dumps(alarm(state, seconds, **more)), Subject=f'{state}: "shop-cpu"')

    def post(self, body: Any, *, key: str = SECRET) -> Reply:
        """What is posted to the stack's address."""
        written = body if isinstance(body, str) else json.dumps(body)
        return events.receive(replace(self.world.services, fetch=self.fetch), GATEWAY, CLOUDWATCH, key, written)

    def decide(self) -> Any:
        """The execution that was started decides."""
        ((_, given),) = self.started
        self.started.clear()
        return self.world.decide(given)


def alarm(state: str, seconds: int = 0, *, name: str = "shop-cpu", account: str = ACCOUNT, **more: Any) -> Any:
    """What an alarm publishes (CloudWatch, "Amazon SNS event destinations")."""
    return {
        "AlarmName": name,
        "AlarmDescription": "The shop is slow",
        "AWSAccountId": account,
        "AlarmConfigurationUpdatedTimestamp": "2026-11-20T11:48:52.788+0000",
        "NewStateValue": state,
        "NewStateReason": "it is so",
        "StateChangeTime": f"2026-11-23T03:00:{seconds:02d}.985+0000",
        "Region": "EU (Frankfurt)",
        "AlarmArn": f"arn:aws:cloudwatch:{REGION}:{account}:alarm:{name}",
        "OldStateValue": "OK",
        "OKActions": [TOPIC],
        "AlarmActions": [TOPIC],
        "InsufficientDataActions": [],
        "Trigger": {
            "MetricName": "CPUUtilization",
            "Namespace": "AWS/EC2",
            "Statistic": "AVERAGE",
            "Dimensions": [{"value": "i-0123456789abcdef0", "name": "InstanceId"}],
            "Period": 60,
        },
        **more,
    }


def confirm(topic: str) -> str:
    """Where SNS has a subscription confirmed."""
    return f"{HOST}/?Action=ConfirmSubscription&TopicArn={quote(topic)}&Token=2336412f37"


@pytest.fixture
def sns(world: World) -> Iterator[Sns]:
    events._certificates.clear()
    yield Sns(world)
    events._certificates.clear()


def test_an_alarm_by_a_topic_rings_and_its_ok_resolves(sns: Sns, world: World) -> None:
    assert sns.post(sns.alarm("ALARM")).status == 202
    fired = sns.decide()
    incident = world.incident(fired)
    assert (fired.decision["action"], incident.summary) == ("page", "The shop is slow")
    assert incident.alerts[0].labels["InstanceId"] == "i-0123456789abcdef0"
    assert sns.post(sns.alarm("OK", 30)).status == 202
    sns.decide()
    assert world.incident(fired).state == "resolved"


def test_it_is_the_same_alert_as_by_eventbridge(sns: Sns, world: World) -> None:
    description: dict[str, Any] = {"configuration": {"description": "The shop is slow"}}
    fired = world.decide(changed("ALARM", **description))
    sns.post(sns.alarm("ALARM"))
    assert sns.decide().decision["incidents"] == fired.decision["incidents"]
    sns.post(sns.alarm("OK", 30))
    sns.decide()
    assert world.incident(fired).state == "resolved"
    assert world.decide(changed("ALARM", 20, **description)).decision["action"] in ("notify", "none")
    assert world.incident(fired).state == "resolved"


@pytest.mark.parametrize("version", ["1", "2"])
def test_both_versions_of_the_signature_are_read(sns: Sns, version: str) -> None:
    said = sns.says("Notification", json.dumps(alarm("ALARM")), version=version, Subject="ü 😀\nline")
    assert sns.post(said).status == 202
    assert sns.post({**said, "SignatureVersion": "2" if version == "1" else "1"}).status == 403


def test_the_certificate_is_fetched_once(sns: Sns) -> None:
    for seconds in range(3):
        assert sns.post(sns.alarm("ALARM", seconds)).status == 202
    assert sns.asked == [CERTIFICATE]


def test_a_subscription_is_confirmed_and_its_end_is_a_warning_until_it_is_subscribed_again(
    sns: Sns, world: World
) -> None:
    sns.pages[confirm(TOPIC)] = b"<ConfirmSubscriptionResponse/>"
    asks = "You have chosen to subscribe to the topic."
    assert sns.post(sns.says("SubscriptionConfirmation", asks)).status == 202
    assert sns.asked == [CERTIFICATE, confirm(TOPIC)]
    assert sns.decide().decision["action"] == "none"
    assert sns.post(sns.says("UnsubscribeConfirmation", "You have chosen to deactivate it.")).status == 202
    assert sns.asked == [CERTIFICATE, confirm(TOPIC)], "nobody asked for it again"
    ended = sns.decide()
    assert (ended.decision["action"], TOPIC in world.incident(ended).summary) == ("alert", True)
    world.clock.sleep(1)
    sns.post(sns.says("SubscriptionConfirmation", asks))
    sns.decide()
    assert world.incident(ended).state == "resolved"


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}",
        "https://sns.eu-central-1.amazonaws.com.example.com/?Action=ConfirmSubscription&TopicArn={topic}",
        "https://sns.eu-central-1.amazonaws.com@example.com/?Action=ConfirmSubscription&TopicArn={topic}",
        "https://x:y@sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}",
        "https://sns.eu-central-1.amazonaws.com:8443/?Action=ConfirmSubscription&TopicArn={topic}",
        "https://sqs.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}",
        "https://sns.eu-central-1.amazonaws.com/?Action=DeleteTopic&TopicArn={topic}",
        "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:other",
        "https://[/?Action=ConfirmSubscription",
        "",
    ],
)
def test_a_subscription_is_confirmed_nowhere_else_than_at_sns(sns: Sns, address: str) -> None:
    """Even where SNS has signed it: whoever has a topic does not choose what we ask for."""
    said = sns.says("SubscriptionConfirmation", "", SubscribeURL=address.format(topic=quote(TOPIC)))
    reply = sns.post(said)
    assert (reply.status, reply.is_refused) == (403, True)
    assert sns.asked == [CERTIFICATE]


@pytest.mark.parametrize(
    ("page", "status"),
    [(LookupError("AWS answers 404"), 400), (TimeoutError(), 503), (ConnectionResetError(), 503)],
)
def test_a_subscription_that_sns_does_not_confirm_is_not_said_to_be(sns: Sns, page: Exception, status: int) -> None:
    sns.pages[confirm(TOPIC)] = page
    assert sns.post(sns.says("SubscriptionConfirmation", "")).status == status
    assert sns.started == []


def test_topics_that_the_roster_does_not_name_are_not_believed_and_nothing_is_fetched(sns: Sns) -> None:
    for kind in ("Notification", "SubscriptionConfirmation"):
        reply = sns.post(sns.says(kind, json.dumps(alarm("ALARM")), TopicArn=f"{TOPIC}-of-somebody"))
        assert (reply.status, "topics" in reply.body["reason"]) == (403, True)
    assert (sns.asked, sns.started) == ([], [])


@pytest.mark.parametrize(
    "address",
    [
        CERTIFICATE.replace("https", "http"),
        "https://example.com/SimpleNotificationService-0.pem",
        "https://sns.eu-central-1.amazonaws.com.example.com/SimpleNotificationService-0.pem",
        "https://example.com/sns.eu-central-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-0.pem",
        f"{HOST}/?Action=Publish",
        f"{HOST}/SimpleNotificationService-0.pem?x",
        f"{HOST}/../SimpleNotificationService-0.pem",
        "https://[/",
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_not_asked_for(sns: Sns, address: str) -> None:
    reply = sns.post({**sns.alarm("ALARM"), "SigningCertURL": address})
    assert (reply.status, sns.asked, sns.started) == (403, [], [])


@pytest.mark.parametrize(
    "page",
    [
        LookupError("AWS answers 403"),
        b"<html>",
        certificate_of(new_key()),
        certificate_of(KEY, name="example.com"),
        certificate_of(KEY, name="sns.amazonaws.com.example.com"),
        certificate_of(KEY, ends_at=START.replace(month=2)),
        certificate_of(KEY, begins_at=END.replace(year=2050)),
    ],
)
def test_another_certificate_makes_no_message(sns: Sns, page: bytes | Exception) -> None:
    sns.pages[CERTIFICATE] = page
    assert (sns.post(sns.alarm("ALARM")).status, sns.started) == (403, [])


def test_while_sns_does_not_give_its_certificate_it_has_to_send_again(sns: Sns) -> None:
    sns.pages[CERTIFICATE] = TimeoutError()
    assert sns.post(sns.alarm("ALARM")).status == 503
    sns.pages[CERTIFICATE] = certificate_of(KEY)
    assert sns.post(sns.alarm("ALARM")).status == 202


def test_whatever_is_changed_in_a_message_is_not_believed(sns: Sns) -> None:
    said = sns.alarm("ALARM")
    for name in ("Message", "MessageId", "Subject", "Timestamp"):
        assert sns.post({**said, name: said[name] + " "}).status == 403
    assert sns.post({**said, "TopicArn": FOREIGN}).status == 403
    assert sns.post({**said, "Type": "UnsubscribeConfirmation"}).status == 403
    assert sns.post({name: value for name, value in said.items() if name != "Subject"}).status == 403
    assert sns.started == []


@pytest.mark.parametrize("name", ["Type", "MessageId", "TopicArn", "Message", "Timestamp", "SigningCertURL"])
def test_a_field_that_is_missing_or_of_another_type_is_named(sns: Sns, name: str) -> None:
    said = sns.alarm("ALARM")
    for body in ({key: value for key, value in said.items() if key != name}, {**said, name: 7}, {**said, name: ["x"]}):
        reply = sns.post(body)
        assert (reply.status, name in reply.body["reason"]) == (400, True)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"SignatureVersion": "3"}, 400),
        ({"SignatureVersion": None}, 400),
        ({"Signature": "not base64!"}, 400),
        ({"Signature": ""}, 403),
        ({"Signature": "AAAA"}, 403),
        ({"Signature": None}, 400),
    ],
)
def test_a_signature_that_is_none_is_refused(sns: Sns, change: dict[str, Any], status: int) -> None:
    assert (sns.post({**sns.alarm("ALARM"), **change}).status, sns.started) == (status, [])


def test_raw_delivery_is_refused_and_says_what_to_turn_off(sns: Sns) -> None:
    reply = sns.post(alarm("ALARM"))
    assert (reply.status, "raw message delivery" in reply.body["reason"]) == (400, True)


def test_a_message_that_was_signed_long_ago_is_not_believed(sns: Sns) -> None:
    said = sns.alarm("ALARM")
    sns.world.clock.sleep(3_600)
    assert sns.post(said).status == 202, "SNS tries for an hour"
    sns.world.clock.sleep(600)
    assert sns.post(said).status == 403


@pytest.mark.parametrize(
    "text",
    ["", "The budget is spent", "[]", "null", "{}", '{"AlarmName": "x"}', '{"AlarmArn": "arn:aws:sns:a:b:c:d:e"}'],
)
def test_what_is_no_alarm_is_refused_and_says_so(sns: Sns, text: str) -> None:
    reply = sns.post(sns.says("Notification", text))
    assert (reply.status, "no alarm" in reply.body["reason"], sns.started) == (400, True, [])


def test_an_alarm_of_no_known_state_or_time_is_refused(sns: Sns) -> None:
    assert sns.post(sns.alarm("PERHAPS")).status == 400
    assert sns.post(sns.alarm("ALARM", StateChangeTime="now")).status == 400
    assert sns.started == []


def test_our_own_alarms_those_of_scaling_and_no_data_are_ignored(sns: Sns) -> None:
    for said in (
        sns.alarm("ALARM", name="on-call-unanswered"),
        sns.alarm("ALARM", name="TargetTracking-table/on-call"),
        sns.alarm("INSUFFICIENT_DATA"),
    ):
        reply = sns.post(said)
        assert (reply.status, reply.body["status"], sns.started) == (202, "ignored", [])


def test_whoever_publishes_to_a_topic_has_no_say_in_the_alarms_of_another_account(sns: Sns, world: World) -> None:
    fired = world.decide(changed("ALARM"))
    assert sns.post(sns.says("Notification", json.dumps(alarm("OK", 30)), TopicArn=FOREIGN)).status == 202
    assert sns.decide().decision["action"] == "none"
    assert world.incident(fired).state == "triggered"
    sns.post(sns.says("Notification", json.dumps(alarm("ALARM", 40)), TopicArn=FOREIGN))
    assert sns.decide().decision["action"] != "none", "it is an alarm all the same"


def test_an_alarm_over_several_series_has_an_incident_for_each(sns: Sns, world: World) -> None:
    series: dict[str, Any] = {"AlarmContributorId": "c1", "AlarmContributorAttributes": {"InstanceId": "i-1"}}
    sns.post(sns.alarm("ALARM", **series))
    one = sns.decide()
    sns.post(sns.alarm("ALARM"))
    whole = sns.decide()
    assert one.decision["incidents"] != whole.decision["incidents"]
    assert world.incident(one).alerts[0].labels["InstanceId"] == "i-1"
    sns.post(sns.alarm("OK", 30, **series))
    sns.decide()
    assert (world.incident(one).state, world.incident(whole).state) == ("resolved", "triggered")


def test_an_alarm_of_metric_math_tells_its_dimensions_and_a_composite_one_has_none(sns: Sns, world: World) -> None:
    metric = {"Namespace": "AWS/EC2", "MetricName": "x", "Dimensions": [{"name": "InstanceId", "value": "i-9"}]}
    math = {"Metrics": [{"Id": "e", "Expression": "m * 2"}, {"Id": "m", "MetricStat": {"Metric": metric}}]}
    sns.post(sns.alarm("ALARM", Trigger=math))
    assert world.incident(sns.decide()).alerts[0].labels["InstanceId"] == "i-9"
    composite = alarm("ALARM", name="shop", AlarmRule="ALARM(a)")
    del composite["Trigger"]
    sns.post(sns.says("Notification", json.dumps(composite)))
    assert sns.decide().decision["action"] != "none"


def test_rules_of_the_roster_and_the_keys_product_say_whose_it_is(sns: Sns, world: World) -> None:
    rules = [{"name": "disk-*", "severity": "warning"}]
    world.roster({"SOURCE#cloudwatch": {"topics": [TOPIC], "rules": rules}})
    meant = Key("elsewhere", product="elsewhere", source=CLOUDWATCH)
    world.table.transact([Put(keys.item("e" * 32, meant, created_at=at(world.clock.now()), created_by="me"))])
    sns.post(sns.alarm("ALARM", name="disk-1"), key="e" * 32)
    run = sns.decide()
    assert (run.decision["action"], world.incident(run).product) == ("alert", "elsewhere")


def test_without_a_key_of_its_own_nothing_is_looked_at(sns: Sns, world: World) -> None:
    other = Key("other", source="grafana")
    world.table.transact([Put(keys.item("f" * 32, other, created_at=at(world.clock.now()), created_by="me"))])
    for key in ("f" * 32, "0" * 32, ""):
        reply = sns.post(sns.alarm("ALARM"), key=key)
        assert (reply.status, reply.is_unknown, sns.asked) == (403, True, [])
