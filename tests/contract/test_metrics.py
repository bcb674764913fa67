"""What is told of a partition is told while a process has it, and no longer."""

from __future__ import annotations

from services.runtime import metrics


def _told(domain: str) -> dict[tuple[str, str], float]:
    (family,) = metrics.LAG.collect()
    return {
        (sample.labels["topic"], sample.labels["partition"]): sample.value
        for sample in family.samples
        if sample.labels["domain"] == domain
    }


def test_a_partition_that_went_elsewhere_shows_no_lag_and_one_that_comes_back_does():
    lag = metrics.LagTeller("harbour", "processor")
    lag.tell({("a", 0): 7, ("a", 1): 3})
    assert _told("harbour") == {("a", "0"): 7, ("a", "1"): 3}
    lag.tell({("a", 1): 5})
    assert _told("harbour") == {("a", "1"): 5}
    lag.tell({})
    assert _told("harbour") == {}
    lag.tell({("a", 0): 1})
    assert _told("harbour") == {("a", "0"): 1}
