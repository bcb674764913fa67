"""How long figures stood still."""

from __future__ import annotations

import subprocess
import sys

from tests.cluster.samples import Samples, latest, longest_pauses


def test_a_pause_is_the_longest_time_without_growth():
    samples = [(0.0, {"api/0": 1}), (1.0, {"api/0": 2}), (2.0, {"api/0": 2}), (4.0, {"api/0": 3}), (5.0, {"api/0": 4})]
    assert longest_pauses(samples, 0.0, 5.0) == {"api": 3.0}
    assert longest_pauses(samples, 4.5, 5.0) == {"api": 1.0}


def test_the_part_that_waited_longest_counts_and_a_pause_that_has_no_end_too():
    samples = [(0.0, {"api/0": 1, "api/1": 1}), (1.0, {"api/0": 2, "api/1": 1}), (2.0, {"api/0": 3, "api/1": 1})]
    assert longest_pauses(samples, 0.0, 2.0) == {"api": 2.0}


def test_what_is_done_again_is_no_progress():
    samples = [
        (0.0, {"processor/0": 10}),
        (1.0, {"processor/0": 5}),
        (2.0, {"processor/0": 9}),
        (3.0, {"processor/0": 11}),
    ]
    assert longest_pauses(samples, 0.0, 3.0) == {"processor": 3.0}
    assert latest(samples) == {"processor/0": 11}


def test_what_threads_tell_beside_each_other_are_whole_lines(tmp_path):
    log = tmp_path / "log"
    program = (
        "import threading; from tests.cluster.samples import tell\n"
        "many = [threading.Thread(target=lambda n=n: [tell({f'api/{n}': i}) for i in range(500)]) for n in range(4)]\n"
        "[one.start() for one in many]; [one.join() for one in many]"
    )
    with log.open("wb") as file:
        subprocess.run([sys.executable, "-c", program], stdout=file, check=True)
    assert len(Samples(log).look()) == 2000
