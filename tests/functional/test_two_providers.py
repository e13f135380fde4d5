"""Two telephone providers: the same responder through the other one, once, whatever the first does."""

import pytest

from oncall import providers
from oncall.errors import ConfigurationError
from oncall.phone import keys
from tests.builders import SATO, SUZUKI, Call, FakeTelephone, World, webhook

NO_RING = 15


@pytest.fixture
def world(world: World) -> World:
    world.second = FakeTelephone(world.clock, label="Telnyx", is_late=True)
    return world


def second(world: World) -> FakeTelephone:
    assert world.second is not None
    return world.second


def says(world: World, call: Call, status: str) -> None:
    """A status callback of either provider."""
    call.status = status
    keys.call_changed(world.services, call.callbacks, status, call.sid)
    world.settles_down()


def rung(world: World) -> tuple[list[str], list[str]]:
    """The numbers that were asked of Twilio, and of Telnyx."""
    return [call.to for call in world.telephone.calls], [call.to for call in second(world).calls]


def test_while_all_is_well_the_second_is_not_asked(world: World) -> None:
    world.fire()
    says(world, world.last_call, "ringing")
    world.passes(60)
    assert rung(world)[1] == []


@pytest.mark.parametrize("refusal", [(503, 20503), (401, 20003), (403, 20005), (500, 20500)])
def test_a_refusal_has_the_other_ring_at_once(world: World, refusal: tuple[int, int]) -> None:
    world.telephone.refusal = refusal
    run = world.fire()
    assert rung(world) == ([], [SATO])
    assert world.clock.now() - world.page().opened_at < 1_000
    assert "twilio" in providers.down(world.table)
    says(world, second(world).calls[0], "ringing")
    assert "You have it" in world.hears(second(world).calls[0], "1")
    assert world.page().state == "acknowledged"
    assert rung(world) == ([], [SATO])
    assert {"switched", "ringing"} <= set(world.story(run))
    assert len(world.topic.published) == 1  # that Twilio is down


def test_silence_has_the_other_ring_at_once_and_a_call_that_was_taken_stops(world: World) -> None:
    world.telephone.loses_answers = 1
    world.telephone.while_asked.append(lambda _: setattr(world.telephone, "is_away", True))
    world.fire()
    assert rung(world) == ([SATO], [SATO])
    says(world, second(world).calls[0], "ringing")
    world.telephone.is_away = False
    world.passes(NO_RING)
    assert world.telephone.calls[0].status == "canceled" or world.telephone.calls[0].status == "queued"
    world.hears(second(world).calls[0], "1")
    assert world.telephone.calls[0].status == "canceled"


def test_a_lost_answer_of_a_call_that_the_api_knows_rings_nobody_else(world: World) -> None:
    world.telephone.loses_answers = 1
    world.fire()
    says(world, world.last_call, "ringing")
    world.passes(20)
    assert rung(world) == ([SATO], [])


def test_no_ringing_has_the_other_ring_after_the_setting_and_the_first_stops(world: World) -> None:
    world.fire()
    world.passes(NO_RING - 3)
    assert rung(world) == ([SATO], [])
    world.passes(6)
    assert rung(world) == ([SATO], [SATO])
    assert world.telephone.calls[0].status == "canceled"
    assert providers.down(world.table)["twilio"]["failure"] == "ring"


def test_ringing_that_only_the_api_tells_of_counts(world: World) -> None:
    world.fire()
    world.last_call.status = "ringing"  # its callback is lost
    world.passes(20)
    assert rung(world) == ([SATO], [])
    assert providers.down(world.table) == {}


def test_the_next_page_begins_with_the_other_until_the_first_is_proven(world: World) -> None:
    world.telephone.refusal = (503, 20503)
    world.fire()
    world.hears(second(world).calls[0], "1")
    world.telephone.refusal = None
    world.passes(300)
    world.fire(webhook(key="database"))
    assert rung(world) == ([], [SATO, SATO])
    world.hears(second(world).calls[1], "1")
    world.telephone.check()
    providers.prove(world.table, "twilio")
    world.passes(300)
    world.fire(webhook(key="third"))
    assert rung(world) == ([SATO], [SATO, SATO])


def test_a_phone_that_rings_proves_its_provider(world: World) -> None:
    providers.trip(world.table, "twilio", failure="ring", reason="", now=world.clock.now())
    second(world).is_away = True
    world.fire()
    says(world, world.last_call, "ringing")
    assert set(providers.down(world.table)) == {"telnyx"}


def test_a_key_that_is_faster_than_the_word_of_the_ringing_leaves_the_provider_proven(world: World) -> None:
    providers.trip(world.table, "twilio", failure="ring", reason="", now=world.clock.now())
    second(world).is_away = True
    world.fire()
    world.hears(world.last_call, "1")
    says(world, world.last_call, "ringing")
    assert set(providers.down(world.table)) == {"telnyx"}


def test_both_down_both_are_tried_on(world: World) -> None:
    world.telephone.is_away = second(world).is_away = True
    run = world.fire()
    world.passes(70)
    assert "unavailable" in world.story(run)
    assert len(world.page().calls) == 2  # and no more, however often they are tried
    second(world).is_away = False
    world.passes(40)
    assert rung(world) == ([], [SATO])
    world.hears(second(world).calls[0], "1")
    assert world.page().state == "acknowledged"


def test_both_down_and_the_first_comes_back(world: World) -> None:
    world.telephone.is_away = second(world).is_away = True
    world.fire()
    world.passes(40)
    world.telephone.is_away = False
    world.passes(40)
    assert rung(world) == ([SATO], [])


def _both_ring(world: World) -> tuple[Call, Call]:
    world.telephone.loses_answers = 1
    world.telephone.while_asked.append(lambda _: setattr(world.telephone, "is_away", True))
    world.fire()
    first, other = world.telephone.calls[0], second(world).calls[0]
    says(world, other, "ringing")
    says(world, first, "ringing")
    return first, other


def test_a_late_key_on_the_first_counts_and_the_second_stops(world: World) -> None:
    first, other = _both_ring(world)
    assert "You have it" in world.hears(first, "1")
    assert other.status == "canceled"
    assert world.page().state == "acknowledged"


@pytest.mark.parametrize("answered", [0, 1])
def test_of_two_that_ring_the_answered_one_goes_on_and_the_other_stops(world: World, answered: int) -> None:
    calls = _both_ring(world)
    world.telephone.is_away = False
    says(world, calls[answered], "in-progress")
    assert calls[1 - answered].status == "canceled"
    assert calls[answered].status == "in-progress"
    says(world, calls[answered], "completed")  # no key
    assert [call.to for call in world.telephone.calls] == [SATO, SUZUKI]


def test_a_number_that_one_refuses_is_rung_by_the_other(world: World) -> None:
    world.telephone.refuses.add(SATO)
    world.fire()
    assert rung(world) == ([], [SATO])
    assert providers.down(world.table) == {}


def test_a_number_that_both_refuse_is_passed_over(world: World) -> None:
    world.telephone.refuses.add(SATO)
    second(world).refuses.add(SATO)
    world.fire()
    assert rung(world) == ([SUZUKI], [])


def test_a_call_that_failed_before_it_rang_goes_through_the_other(world: World) -> None:
    world.fire()
    says(world, world.last_call, "failed")
    assert rung(world) == ([SATO], [SATO])
    says(world, second(world).calls[0], "failed")
    assert rung(world) == ([SATO, SUZUKI], [SATO])


def test_passed_on_in_the_first_the_second_stops_and_the_next_is_rung(world: World) -> None:
    first, other = _both_ring(world)
    world.telephone.is_away = False
    world.hears(first, "2")
    assert other.status == "canceled"
    assert [call.to for call in world.telephone.calls] == [SATO, SUZUKI]


def test_both_calls_of_an_attempt_count_once(world: World) -> None:
    """A round of the policy rings each once, and ends."""
    world.telephone.refusal = (503, 20503)
    world.roster({"POLICY#default": {"rounds": 1}})
    run = world.fire()
    for _ in range(3):
        says(world, second(world).calls[-1], "no-answer")
    assert world.page().state == "unanswered"
    assert rung(world)[1] == [SATO, SUZUKI, "+12025550102"]
    assert "unanswered" in world.story(run)


def test_a_reconciler_has_a_provider_that_is_down_checked_every_minute(world: World) -> None:
    providers.trip(world.table, "twilio", failure="api", reason="", now=world.clock.now())
    (item,) = providers.down(world.table).values()
    assert not providers.is_to_check(world.table, item, now=world.clock.now())
    world.passes(61)
    assert providers.is_to_check(world.table, item, now=world.clock.now())
    assert not providers.is_to_check(world.table, item, now=world.clock.now())


def test_one_whose_calls_did_not_ring_has_another_chance_an_hour_later(world: World) -> None:
    providers.trip(world.table, "twilio", failure="ring", reason="", now=world.clock.now())
    (item,) = providers.down(world.table).values()
    world.passes(3_500)
    assert not providers.is_to_check(world.table, item, now=world.clock.now())
    world.passes(200)
    assert providers.is_to_check(world.table, item, now=world.clock.now())


def test_from_webhook_to_ring_there_are_at_most_four_round_trips_to_the_table(world: World) -> None:
    """Which provider is down costs none."""
    asked: list[object] = []
    for is_down in (False, True):
        asked.clear()
        if is_down:
            providers.trip(world.table, "twilio", failure="ring", reason="", now=world.clock.now())
        phones = second(world) if is_down else world.telephone
        before = len(world.dynamo.requests)
        phones.while_asked.append(lambda _: asked.extend(world.dynamo.requests))
        run = world.fire(webhook(key=str(is_down)))
        assert 0 < len(asked[before:]) <= 4, asked[before:]
        world.hears(phones.calls[0], "1")
        world.passes(300)
        assert run


def test_a_call_of_which_nothing_is_known_does_not_keep_the_next_responder_from_ringing(world: World) -> None:
    """Twilio may have it or not, and does not answer any more; the phone has rung through Telnyx, and nobody took it."""
    world.telephone.loses_answers = 1
    world.telephone.while_asked.append(lambda _: setattr(world.telephone, "is_away", True))
    world.fire()
    says(world, second(world).calls[0], "ringing")
    world.passes(25)
    says(world, second(world).calls[0], "no-answer")
    world.passes(15)
    assert rung(world)[1] == [SATO, SUZUKI]


def test_a_call_whose_end_nobody_tells_is_given_up_after_its_time(world: World) -> None:
    """It rang, then its provider went silent in every way."""
    world.fire()
    says(world, world.last_call, "ringing")
    world.telephone.is_away = True
    world.passes(120)
    assert rung(world)[0] == [SATO]
    assert rung(world)[1][:1] == [SUZUKI]


def test_what_was_never_placed_is_not_placed_when_its_provider_returns_after_the_other_rang(world: World) -> None:
    world.telephone.loses_answers = 1
    world.telephone.while_asked.append(lambda _: setattr(world.telephone, "is_away", True))
    world.fire()
    world.telephone.calls.clear()  # it never had it
    says(world, second(world).calls[0], "ringing")
    world.telephone.is_away = False
    says(world, second(world).calls[0], "no-answer")
    world.passes(15)
    assert SATO not in rung(world)[0]


def test_while_the_seconds_key_is_missing_the_first_goes_on_alone(world: World) -> None:
    """Whoever set it up half hears of it when it is first needed, and no page fails by it."""

    def missing() -> FakeTelephone:
        raise ConfigurationError("SSM has no parameter /oncall/telnyx-api-key")

    world.second_is = missing
    world.fire()
    says(world, world.last_call, "ringing")
    assert world.topic.published == []
    world.hears(world.last_call, "1")
    world.passes(300)
    world.telephone.refusal = (503, 20503)
    world.fire(webhook(key="database"))
    assert set(providers.down(world.table)) == {"twilio", "telnyx"}
    assert any("/oncall/telnyx-api-key" in one["Message"] for one in world.topic.published)
    world.telephone.refusal = None
    world.passes(40)
    assert rung(world)[0] == [SATO, SATO]


def test_a_call_that_begins_to_ring_after_its_page_has_ended_is_hung_up(world: World) -> None:
    """Telnyx takes a call without telling its id, so it can be found no sooner than it rings."""
    providers.trip(world.table, "twilio", failure="ring", reason="", now=world.clock.now())
    run = world.fire()
    world.takes_in_slack(world.incident(run).id)
    world.passes(30)
    assert world.page().is_settled
    says(world, second(world).calls[0], "ringing")
    assert second(world).calls[0].status == "canceled"


def test_a_responder_who_was_called_through_both_counts_as_called_once(world: World) -> None:
    world.telephone.refusal = (503, 20503)
    world.roster({"POLICY#default": {"rounds": 1}})
    world.fire()
    for _ in range(3):
        says(world, second(world).calls[-1], "no-answer")
    (unanswered,) = [one for one in world.topic.published if "nobody took" in one["Subject"]]
    assert "3 calls in 1 round" in unanswered["Message"]
