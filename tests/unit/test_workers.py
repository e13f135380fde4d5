"""How the tests are shared among workers."""

from pathlib import Path

from tests import workers


def test_every_file_that_has_a_place_is_there_and_has_one_place() -> None:
    named = [file for files in workers.GROUPS for file in files]
    assert [file for file in named if not (Path(workers.__file__).parent / file).is_file()] == []
    assert len(set(named)) == len(named)
