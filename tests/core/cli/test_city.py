"""What counts as the end of a city, and what as the end of its replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from services.cli.city import City, CitySettings, ProcessEndedError


class Feed:
    """A process that has this status at each look; the last one stays."""

    name, log = "feed", Path("feed.log")

    def __init__(self, *statuses: int | None) -> None:
        self._statuses = list(statuses)

    def poll(self) -> int | None:
        return self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]

    def tail(self, lines: int) -> str:
        return f"{lines} lines"


def city_with(feed: Feed, tmp_path: Path) -> City:
    city = City(CitySettings(tmp_path), print)
    city.feed = cast("Any", feed)
    return city


@pytest.mark.parametrize("looks", [(0,), (None, 0), (None, None, 0)])
def test_a_replay_that_comes_to_its_end_at_any_moment_is_no_failure(tmp_path: Path, looks: tuple[int | None, ...]):
    city = city_with(Feed(*looks), tmp_path)
    for _ in looks:
        city.check()
    assert city.feed_ended()


@pytest.mark.parametrize(("status", "said"), [(1, "feed ended with status 1"), (-9, "feed was ended by signal 9")])
def test_one_that_fails_is(tmp_path: Path, status: int, said: str):
    with pytest.raises(ProcessEndedError, match=said):
        city_with(Feed(status), tmp_path).check()


@pytest.mark.parametrize("replayed", [False, True])
def test_a_scenario_goes_on_beside_the_replay_of_auckland_only(tmp_path: Path, replayed: bool):
    with pytest.raises(ValueError, match="--scenario goes on beside the replay of Auckland"):
        CitySettings(tmp_path, feed=False, replayed=replayed, scenario=7)
