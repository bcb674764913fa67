"""A finding is told whole, and marked as no incident."""

from __future__ import annotations

import math

from services.cli.explain_finding import explain_finding, finding_line
from urban.common.v1.signal_pb2 import Evidence, Signal
from urban.correlation.v1.finding_pb2 import Finding


def finding(signals: int = 2) -> Finding:
    return Finding(
        id="f1",
        city="town",
        method={"name": "space_time_permutation", "version": 1, "replicates": 199},
        state="FINDING_STATE_STANDING",
        title="Something began 9 times within 300 m",
        start_time={"seconds": 1732392000},
        end_time={"seconds": 1732399200},
        first_found_time={"seconds": 1732395600},
        last_found_time={"seconds": 1732399200},
        radius_m=300,
        p_value=0.005,
        observed=9,
        expected=1.25,
        log_likelihood_ratio=11.2,
        signals=[
            Signal(
                id=f"s{n}",
                entity_id=f"e{n}",
                type="crowding",
                evidence=[Evidence(measure="robust_z", value=9, threshold=5, expected=math.nan)],
            )
            for n in range(signals)
        ],
        signal_count=signals,
        case_ids=["s0"],
        query="SELECT 1",
        revision=3,
    )


def test_a_finding_is_told_whole():
    text = explain_finding(finding())
    for part in (
        "Something began 9 times within 300 m\n",
        "f1, revision 3: no rule asked for it, and it is no incident",
        "standing, found by the scans from 2024-11-23 21:00:00 to 2024-11-23 22:00:00 UTC",
        "space_time_permutation version 1: p 0.005, 0 of 199 tries by chance were as clear anywhere in the city",
        "9 where 1.25 were to be expected",
        "signals (2)",
        "begins  1970-01-01",
        "goes on 1970-01-01",
        "robust_z 9 (threshold 5)",
        "  SELECT 1",
    ):
        assert part in text
    assert "explained by" not in text
    known = finding()
    known.explained_by.append("i7")
    assert "explained by i7" in explain_finding(known)


def test_a_finding_is_told_in_a_line_that_says_what_it_is():
    assert finding_line(finding()) == (
        "2024-11-23 20:00:00 finding, standing: Something began 9 times within 300 m"
        " [p 0.005, 2 signals, revision 3, f1]"
    )
    assert "and 5 more (--all)" in explain_finding(finding(25))
