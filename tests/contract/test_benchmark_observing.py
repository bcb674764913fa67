"""What the benchmark of recovery sees of its workers: who has which partition, and when event time stood still."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from tests.benchmarks import observing
from tests.benchmarks.observing import PARTITIONS, taken_up, until, watching
from tests.benchmarks.workers import WATERMARK, Page


def said(event: str, partition: int, at_s: float) -> dict[str, object]:
    return {"event": event, "partition": partition, "at_s": at_s}


def test_who_keeps_two_partitions_and_is_given_two_has_four():
    told = [
        said("partition_restored", 0, 1.0),  # before the kill
        said("partition_restored", 1, 1.0),
        said("partition_kept", 0, 12.0),
        said("partition_kept", 1, 12.0),
        said("partition_restored", 2, 12.5),
        said("partition_restored", 3, 12.25),
    ]
    assert taken_up(told, 10.0) == {0: 12.0, 1: 12.0, 2: 12.5, 3: 12.25}
    assert taken_up(told[:4], 10.0) == {0: 12.0, 1: 12.0}


class Standing:
    """A worker whose partition 0 stands still as soon as it is watched, and goes on when asked to."""

    def __init__(self) -> None:
        self.still = True
        self.first = True

    def look(self) -> Page:
        now_s = time.time()
        page = Page(now_s)
        for partition in range(PARTITIONS):
            stands = partition == 0 and self.still and not self.first
            page.samples[f'{WATERMARK}{{partition="{partition}"}}'] = 1.0 if stands else now_s
        self.first = False
        return page


def test_a_partition_that_stands_still_from_the_beginning_is_seen_to(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(observing, "POLL_S", 0.001)
    worker: Any = Standing()
    bench: Any = SimpleNamespace(running=[worker])
    with watching(bench) as longest_s:
        time.sleep(0.2)
        worker.still = False
        until(lambda: longest_s[0] > 0, "an end of the pause", 0.001, 10.0)
    assert longest_s[0] >= 0.2
    assert max(longest_s[partition] for partition in range(1, PARTITIONS)) < longest_s[0]


def test_what_fails_while_it_watches_ends_the_benchmark():
    worker: Any = Standing()
    bench: Any = SimpleNamespace(running=[worker])

    def end() -> Page:
        raise SystemExit("worker ended")

    def watch() -> None:
        with watching(bench):
            worker.look = end
            time.sleep(3 * observing.POLL_S)

    with pytest.raises(SystemExit, match="worker ended"):
        watch()


def test_what_does_not_come_in_time_is_told():
    with pytest.raises(SystemExit, match=r"not within 0\.01 s: event time; it is 7 s behind"):
        until(lambda: False, lambda: "event time; it is 7 s behind", 0.001, 0.01)
