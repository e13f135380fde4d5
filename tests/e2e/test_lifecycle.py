"""An incident's life on the whole system: who is rung, who is not, what stops it, and what everybody is told."""

from tests.e2e.story import Night


def test_the_first_who_presses_1_has_it_and_slack_says_so(night: Night) -> None:
    story = night.story("alice", "bob")
    execution = story.fire()

    story.takes("alice")

    assert story.becomes("acknowledged")["acknowledged_by"] == "Alice"
    story.shows("Alice")
    story.finished(execution)
    assert story.called() == ["alice"]
