"""Urban rail, as a city asks for it: from a timetable and messages of GTFS-Realtime through the engine to signals."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.kind import HOUR_MS
from services.core.partition import Partition
from services.core.signals import Severity, Signal
from services.feeds.gtfs import read_timetable
from services.feeds.gtfs_realtime import read_calls
from services.feeds.rail_calls import CallTracker, frame_of
from services.runtime.codec import decode_record, encode_heartbeat
from services.runtime.contracts import FrameContract
from services.traffic.domain import RAIL_CALL
from services.traffic.indices.headway import excess_wait, variation_of_sums
from services.traffic.indices.punctuality import load_p_m2
from tests.feeds.trains import BRITOMART, EIGHT_MS, MINUTE_MS, WYNYARD, message, update, write_timetable

CONTRACT = FrameContract.of("traffic", RAIL_CALL)
# A train every ten minutes from two before eight on, five minutes from Wynyard to Britomart.
TRIPS = ("t0", "t1", "t2", "t3", "t4")
ARRIVALS = {WYNYARD: (-2.0, 0.0, 18.0, 21.0, 38.0), BRITOMART: (3.0, 28.0, 28.5, 63.0, 50.0)}  # minutes after eight


class Told(NamedTuple):
    """Windows by name, platform and minute after eight, and signals by type, platform and minute."""

    windows: dict[tuple[str, str, int], dict[str, float]]
    signals: dict[tuple[str, str, int], Signal]


def timetable_file(folder: Path) -> Path:
    def clock(minute: int) -> str:
        return f"{8 + minute // 60}:{minute % 60:02}:00"

    stops = [
        f"{trip},{clock(minute)},{clock(minute)},{stop}\n"
        for n, trip in enumerate(TRIPS)
        for minute, stop in ((10 * n - 2, "WYN,1"), (10 * n + 3, "BRI,2"))
    ]
    return write_timetable(
        folder / "gtfs.zip",
        trips="route_id,service_id,trip_id,direction_id\n" + "".join(f"east,week,{trip},0\n" for trip in TRIPS),
        stop_times="trip_id,arrival_time,departure_time,stop_id,stop_sequence\n" + "".join(stops),
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    timetable = read_timetable(timetable_file(tmp_path_factory.mktemp("gtfs")))
    tracker, partition = CallTracker(), Partition("traffic", RAIL_CALL, 0)
    windows: dict[tuple[str, str, int], dict[str, float]] = {}
    signals: dict[tuple[str, str, int], Signal] = {}
    records: list[tuple[int, bytes]] = []  # with the time at which they were written
    for minute in range(-4, 70, 2):  # the feed tells the whole morning every two minutes
        updates = [
            update(trip, ("WYN", 1, ARRIVALS[WYNYARD][n]), ("BRI", 2, ARRIVALS[BRITOMART][n]))
            for n, trip in enumerate(TRIPS)
        ]
        reading = read_calls(message(minute, *updates), timetable)
        assert reading.unmatched == 0
        if made := tracker.follow(reading):
            frame = frame_of(made, "auckland", "gtfs", reading.time_ms)
            # How full a train is, GTFS-Realtime says in words only; whoever weighs trains tells it so.
            frame.load_p_m2[:] = [float(load_p_m2(1_250.0, 300.0, 150.0))] * len(made)
            records.append((reading.time_ms, frame.SerializeToString()))
    end_ms = EIGHT_MS + 9 * HOUR_MS
    records.append((end_ms, encode_heartbeat(CONTRACT, "auckland", end_ms)))
    for offset, (written_ms, record) in enumerate(records):
        (folded,) = decode_record(CONTRACT, record, (), written_ms, offset)
        assert isinstance(folded, Frame)
        for closing in partition.fold([folded]):
            assert not closing.refused
            for batch in closing.batches:
                for row, (slot, start) in enumerate(zip(batch.slot.tolist(), batch.start_ms.tolist(), strict=True)):
                    key = batch.window.name, batch.entity_ids[slot], (start - EIGHT_MS) // MINUTE_MS
                    windows[key] = {name: float(values[row]) for name, values in batch.measures.items()}
                for signal in partition.detect(batch):
                    signals[signal.type, signal.entity_id, (signal.start_ms - EIGHT_MS) // MINUTE_MS] = signal
    assert partition.counters.folded == 2 * len(TRIPS)
    return Told(windows, signals)


def figures(signal: Signal) -> dict[str, float]:
    return {e.measure: e.value for e in signal.evidence}


def test_urban_rail_traffic_information_works_with_excess_wait_and_variation(told: Told):
    hour = told.windows["1h", WYNYARD, 0]
    total, squares = hour["headway_s_sum"], hour["headway_s_sum_of_squares"]
    planned = hour["scheduled_headway_s_sum_of_squares"] / hour["scheduled_headway_s_sum"] / 2
    assert (squares / total / 2 - planned) / 60 == pytest.approx(2.825)
    assert variation_of_sums(hour["headway_s_count"], total, squares) == pytest.approx(0.7517, abs=1e-4)


def test_urban_rail_traffic_information_works_with_bunching_and_gaps(told: Told):
    bunches = {key[1:]: s for key, s in told.signals.items() if key[0] == "train_bunching"}
    # Two minutes of ten, and half a minute; three of ten minutes are no bunch.
    assert set(bunches) == {(WYNYARD, 0), (BRITOMART, 15)}
    assert figures(bunches[WYNYARD, 0])["headway_ratio"] == pytest.approx(0.2)
    gaps = {key[1:]: s for key, s in told.signals.items() if key[0] == "train_gap"}
    # 25 and 21.5 minutes where ten are scheduled; 18 of ten are none.
    assert set(gaps) == {(BRITOMART, 15), (BRITOMART, 45)}
    assert figures(gaps[BRITOMART, 15])["headway_ratio"] == pytest.approx(2.5)
    several = figures(gaps[BRITOMART, 15])
    wait_s = excess_wait(np.array([1500.0, 30.0]), np.array([600.0, 600.0]))
    assert several["excess_wait_s"] == pytest.approx(float(wait_s))


def test_urban_rail_traffic_information_works_with_delays_by_tier(told: Told):
    delays = {key[1:]: signal for key, signal in told.signals.items() if key[0] == "train_delay"}
    late = {key: (signal.severity, figures(signal)["delay_tier"]) for key, signal in delays.items()}
    assert late == {
        (BRITOMART, 15): (Severity.SEVERE, 2.0),  # 15 minutes, and 5.5
        (BRITOMART, 45): (Severity.MODERATE, 1.0),  # 7
        (BRITOMART, 60): (Severity.EXTREME, 3.0),  # 30
    }


def test_urban_rail_traffic_information_works_with_load(told: Told):
    crowded = {key[1:]: s for key, s in told.signals.items() if key[0] == "train_crowded"}
    assert {platform for platform, _ in crowded} == {WYNYARD, BRITOMART}
    assert {round(figures(s)["load_p_m2_max"], 3) for s in crowded.values()} == {6.333}
