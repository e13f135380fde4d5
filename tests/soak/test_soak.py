"""A random night: whatever happens in it, the promises hold. `make soak` plays an hour (SOAK_SECONDS, SOAK_SEED)."""

import os
import time
from pathlib import Path

import pytest

from tests.devstack_fixture import running_devstack
from tests.e2e.conftest import night_of
from tests.soak.chaos import Chaos


def test_a_random_night_keeps_the_promises(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seconds = float(os.environ.get("SOAK_SECONDS", "30"))
    seed = int(os.environ.get("SOAK_SEED") or time.time())
    with capsys.disabled():
        print(f"\nSOAK_SEED={seed} SOAK_SECONDS={seconds:g}", flush=True)  # noqa: T201  # whoever wants to see it again needs it
    roster = str(Path(__file__).parents[1] / "e2e/roster.yaml")
    with running_devstack(
        tmp_path / "devstack", MONITORING="0", RING_SECONDS="5", ROSTER=roster, SCHEDULE_SPEED="6"
    ) as system:
        night = night_of(system)
        night.people_speak_fast()
        policies: list[dict[str, int]] = [{"rounds": 2, "pause_seconds": 2}, {"quiet_seconds": 4}, {"calls": 2}]
        stories = [night.story("alice", "bob", "carol", **policy) for policy in policies]
        chaos = Chaos(stories, seed)
        try:
            chaos.play(seconds)
            chaos.come_to_rest(timeout=240)
            found = chaos.faults_found()
        finally:
            (tmp_path / "what-was-done").write_text("\n".join(chaos.said))
        assert not found, "\n".join([*found, "", f"SOAK_SEED={seed}", *chaos.said])
