"""Test calls: the phone rings, 1 proves that the number works, and nothing else in the system hears of it."""

import pytest

from oncall.phone import call_test, proofs
from oncall.table import Item
from tests.builders import BASE, ROSTER, SATO, Call, World

DAY = 86_400_000


def ring(world: World, responder: str = "sato", test: str = "test-1") -> dict[str, str]:
    request = {"responder": responder, "id": test}
    return call_test.ring(world.services, request, base=BASE)


def press(world: World, call: Call, digits: str) -> str:
    return call_test.key_pressed(world.services, call.callbacks, digits)


def proof(world: World) -> Item:
    item = world.table.get(proofs.PARTITION, "sato")
    assert item is not None
    return item


def test_one_proves_the_number_for_thirty_days(world: World) -> None:
    assert ring(world) == {}
    call = world.last_call
    assert (call.to, call_test.is_test(call.callbacks)) == (SATO, True)
    assert "only a test" in call.twiml
    call_test.call_changed(world.services, call.callbacks, "in-progress")
    assert proof(world)["status"] == "in-progress"
    assert "This phone works" in press(world, call, "1")
    call_test.call_changed(world.services, call.callbacks, "completed")
    assert proof(world)["status"] == "proven"
    now = world.clock.now()
    assert proofs.is_proven(proof(world), SATO, now=now + 30 * DAY - 1)
    assert not proofs.is_proven(proof(world), SATO, now=now + 30 * DAY)
    assert not proofs.is_proven(proof(world), "+12025550111", now=now)
    assert not proofs.is_proven(None, SATO, now=now)
    assert world.slack_asked == []
    assert world.topic.published == []


@pytest.mark.parametrize("key", ["2", "", "#"])
def test_any_other_key_hears_it_again(world: World, key: str) -> None:
    ring(world)
    assert "Press 1" in press(world, world.last_call, key)
    assert not proofs.is_proven(proof(world), SATO, now=world.clock.now())


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "completed"])
def test_a_call_that_ends_without_one_proves_nothing_and_leaves_the_last_proof(world: World, status: str) -> None:
    ring(world)
    press(world, world.last_call, "1")
    ring(world, test="test-2")
    call_test.call_changed(world.services, world.last_call.callbacks, status)
    assert (proof(world)["status"], proof(world)["test"]) == (status, "test-2")
    assert proofs.is_proven(proof(world), SATO, now=world.clock.now())


def test_the_key_of_an_earlier_test_call_proves_nothing(world: World) -> None:
    ring(world)
    first = world.last_call
    ring(world, test="test-2")
    assert "no longer open" in press(world, first, "1")
    call_test.call_changed(world.services, first.callbacks, "completed")
    assert proof(world)["status"] == "placing"


def test_a_number_that_changes_meanwhile_is_not_proven(world: World) -> None:
    ring(world)
    world.roster({"RESPONDER#sato": ROSTER["RESPONDER#sato"] | {"phone": "+12025550111"}})
    press(world, world.last_call, "1")
    assert proofs.is_proven(proof(world), SATO, now=world.clock.now())
    assert not proofs.is_proven(proof(world), "+12025550111", now=world.clock.now())


def test_who_cannot_be_called_is_told(world: World) -> None:
    world.telephone.refuses.add(SATO)
    assert ring(world) == {"problem": "Twilio refuses the number (error 21211). Correct the number in the roster."}
    assert (proof(world)["status"], proof(world)["reason"]) == ("failed", "Twilio refuses the number (error 21211)")
    world.telephone.is_away = True
    assert "503" in ring(world)["problem"]
    assert ring(world, "nobody") == {"problem": "the roster has no responder 'nobody'"}


def test_it_speaks_the_language_of_the_responder(world: World) -> None:
    world.roster({"RESPONDER#sato": ROSTER["RESPONDER#sato"] | {"language": "ja"}})
    ring(world)
    assert "テスト電話" in world.last_call.twiml
    assert "確認できました" in press(world, world.last_call, "1")
