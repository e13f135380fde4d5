"""How the tests are shared among workers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from xdist.remote import Producer

from tests import workers


def test_every_file_that_has_a_place_is_there_and_has_one_place() -> None:
    named = [file for files in workers.GROUPS for file in files]
    assert [file for file in named if not (Path(workers.__file__).parent / file).is_file()] == []
    assert len(set(named)) == len(named)


class Config:
    """pytest's, of a run with some workers."""

    def __init__(self, workers: int):
        self.option = SimpleNamespace(loadscopereorder=False)
        self._values = {"tx": ["popen"] * workers, "maxprocesses": None}

    def getvalue(self, name: str) -> Any:
        return self._values[name]


class Worker:
    """Keeps which tests it was given."""

    def __init__(self, number: int):
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.shutting_down = False
        self.given: list[int] = []

    def send_runtest_some(self, tests: list[int]) -> None:
        self.given += tests

    def shutdown(self) -> None:
        self.shutting_down = True


def scheduled(tests: list[str], *names: int) -> tuple[workers.LongestFirst, list[Worker]]:
    """Such workers have begun with their first groups."""
    found = [Worker(name) for name in names]
    scheduler = workers.LongestFirst(Config(len(names)), Producer("", enabled=False))
    for worker in found:
        scheduler.add_node(worker)
        scheduler.add_node_collection(worker, tests)
    scheduler.schedule()
    return scheduler, found


def test_a_worker_gets_its_next_group_when_it_has_one_test_left() -> None:
    scheduler, (one, _) = scheduled([f"{file}::{n}" for file in ("a", "b", "c", "d") for n in range(3)], 0, 1)
    assert one.given == [0, 1, 2]
    scheduler.mark_test_complete(one, 0)
    assert one.given == [0, 1, 2], "it has two left"
    scheduler.mark_test_complete(one, 1)
    assert one.given == [0, 1, 2, 6, 7, 8]


def test_a_group_that_a_crashed_worker_had_done_is_not_given_out_again() -> None:
    """Who got it would wait for ever: it has no test."""
    scheduler, (one, other) = scheduled([f"{file}::{n}" for file in ("a", "b", "c") for n in range(2)], 0, 1)
    scheduler.mark_test_complete(one, 0)
    scheduler.mark_test_complete(one, 1)
    assert one.given == [0, 1, 4, 5]
    assert scheduler.remove_node(one) == "c::0"
    scheduler.mark_test_complete(other, 2)
    assert other.given == [2, 3, 4, 5]
    scheduler.mark_test_complete(other, 3)
    scheduler.mark_test_complete(other, 4)
    assert other.shutting_down
