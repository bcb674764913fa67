"""Rolling update and kill of each kind of pod under a steady load, on a real node: `python -m tests.cluster.pauses`.

It runs overlays/dev, waits for the first incident, and measures what it costs to replace each role one after the other:
the longest time without progress of api, processor and archiver, and what was lost. Root, Debian and Go, as for
`make test-cluster`. The figures are printed and written as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local.process import Child
from services.traffic.domain import ROAD_FLOW
from tests.cluster.control_plane import SERVER
from tests.cluster.incident import first_incident
from tests.cluster.machine import HOME, prepare
from tests.cluster.node import pod_cgroups
from tests.cluster.real import CITY, RealCity, is_ready, running_dev
from tests.cluster.samples import Sample, Samples, latest, longest_pauses
from tests.deploy.rendering import Object
from tests.images.engine import Engine
from tests.images.machine import ROOT, CannotRunError

LOAD_CITY = "steady"
QUIET_S = 30.0
SETTLE_TIMEOUT_S = 600.0
# A watermark follows the clock by the disorder of the kind and what an observation is about, and some seconds more.
WORKED_OFF_S = ROAD_FLOW.disorder_ms / 1000 + 6.0
MOVING_S = 3.0
PARTS = 4 + 4 + 1  # streams, partitions, archivers


@dataclass(frozen=True)
class Role:
    """A workload and the labels of its pods."""

    work: str
    selector: str


def _ours(kind: str, service: str, component: str) -> Role:
    selector = f"app.kubernetes.io/name={service},app.kubernetes.io/component={component}"
    return Role(f"{kind}/{service}-{component}", selector)


OURS = (
    _ours("deployment", "traffic", "api"),
    _ours("statefulset", "traffic", "processor"),
    _ours("deployment", "traffic", "archiver"),
    _ours("statefulset", "correlation", "processor"),
    _ours("statefulset", "correlation", "responder"),
    _ours("statefulset", "correlation", "scanner"),
)
SERVERS = tuple(Role(f"statefulset/{name}", f"app.kubernetes.io/name={name}") for name in ("kafka", "clickhouse"))


class Measuring:
    """The load and the looks at the pods while it is entered."""

    def __init__(self, city: RealCity, observations_per_s: float) -> None:
        self._city = city
        address = city.address("traffic-api", 50051)
        self._load = self._start("steady", address, LOAD_CITY, str(observations_per_s))
        self._look = self._start("looking", SERVER, str(city.plane.pki))
        self._samples = Samples(self._load.log, self._look.log)

    def _start(self, module: str, *arguments: str) -> Child:
        argv = self._city.plane.box.entering(sys.executable, "-m", f"tests.cluster.{module}", *arguments, inside=False)
        return Child.start(module, argv, self._city.plane.box.folder / "log" / f"{module}.log", cwd=ROOT)

    def samples(self) -> list[Sample]:
        """All that was seen so far; AssertionError where one of both has ended."""
        for child in (self._load, self._look):
            if child.poll() is not None:
                raise AssertionError(f"{child.name} ended:\n{child.tail()}")
        return self._samples.look()

    def settle(self) -> float:
        """Wait until all is worked off; the seconds that it took."""
        return self._city.plane.wait("what waits", self._is_worked_off, SETTLE_TIMEOUT_S)

    def _is_worked_off(self) -> bool:
        samples, now = self.samples(), time.time()
        seen, before = latest(samples), latest(_until(samples, now - MOVING_S))
        marks = [value for name, value in seen.items() if name.startswith("processor/")]
        moving = {name for name, value in seen.items() if value > before.get(name, -1.0)}
        return len(moving) == PARTS and min(marks) > now - WORKED_OFF_S

    def during(self, act: Callable[[], object]) -> dict[str, Any]:
        """Do something, wait until it is made up for, and tell how long each role stood still meanwhile."""
        began = time.time()
        act()
        took = time.time() - began
        self.settle()
        pauses = longest_pauses(self.samples(), began, time.time())
        return {"s": round(took, 1), "pauses_s": {role: round(pause, 1) for role, pause in sorted(pauses.items())}}

    def end(self) -> dict[str, Any]:
        """Send no more; what was sent and taken."""
        self._load.terminate()
        if self._load.wait(120.0):
            raise AssertionError(f"the load ended badly:\n{self._load.tail()}")
        figures: dict[str, Any] = json.loads(self._load.tail(1))
        return figures

    def kill(self) -> None:
        for child in (self._load, self._look):
            child.kill()


def _until(samples: list[Sample], moment: float) -> Iterator[Sample]:
    return (sample for sample in samples if sample[0] <= moment)


@contextmanager
def _measuring(city: RealCity, observations_per_s: float) -> Iterator[Measuring]:
    measuring = Measuring(city, observations_per_s)
    try:
        yield measuring
    finally:
        measuring.kill()


def _roll(city: RealCity, role: Role) -> None:
    city.plane.kubectl("-n", CITY, "rollout", "restart", role.work)
    city.rolled_out()


def _kill(city: RealCity, role: Role) -> None:
    """End all processes of a pod's container at once, as a lack of memory would, and wait until it is back."""
    (pod,) = city.pods(role.selector)
    (state,) = pod["status"]["containerStatuses"]
    container = state["containerID"].rpartition("/")[2]
    groups = [path for top in pod_cgroups() for path in top.rglob(f"{container}/cgroup.procs")]
    processes = {int(line) for group in groups for line in group.read_text().split()}
    if not processes:
        raise AssertionError(f"{role.work}: no process of {container} was found")
    for process in processes:
        os.kill(process, signal.SIGKILL)

    def is_back() -> bool:
        found = city.pods(role.selector)
        return len(found) == 1 and _restarts(found[0]) > _restarts(pod) and is_ready(found[0])

    city.plane.wait(role.work, is_back)


def _restarts(pod: Object) -> int:
    return sum(int(state["restartCount"]) for state in pod["status"].get("containerStatuses", []))


def _delete(city: RealCity, role: Role) -> None:
    (pod,) = city.pods(role.selector)
    city.plane.kubectl("-n", CITY, "delete", "pod", pod["metadata"]["name"])
    city.rolled_out()


def _count(city: RealCity, sent: int) -> dict[str, int]:
    """Observations stored, and folded into windows of a minute, once they are as many as were sent or no more come.

    A frame that was sent again, as its answer was lost, is in the log twice and so in the archive: it counts once here.
    """
    statements = {
        "stored": f"SELECT uniqExact(entity_id, time) FROM traffic.road_flow WHERE city = '{LOAD_CITY}'",
        "folded": f"SELECT sum(revision) FROM urban.v_road_flow_windows WHERE window = '1m' AND city = '{LOAD_CITY}'",
    }
    found: dict[str, int] = {}

    def is_all() -> bool:
        for name, statement in statements.items():
            if found.get(name) != sent:
                rows = city.rows(statement)
                found[name] = int(rows[0][0]) if rows else -1
        return set(found.values()) == {sent}

    try:
        city.plane.wait("all of it", is_all, SETTLE_TIMEOUT_S)
    except AssertionError as error:  # the figures say it
        print(error, file=sys.stderr)
    records = int(city.rows(f"SELECT count() FROM traffic.road_flow FINAL WHERE city = '{LOAD_CITY}'")[0][0])
    return {
        "lost": sent - found["stored"],
        "folded_too_little": sent - found["folded"],
        "archived_again": records - found["stored"],
    }


def measure(city: RealCity, observations_per_s: float) -> dict[str, Any]:
    """All that is done to a running city, and what came of it."""
    done: dict[str, Any] = {}
    acts: list[tuple[str, Role, Callable[[RealCity, Role], None]]] = [
        *(("rolling update", role, _roll) for role in OURS),
        *(("deleted", role, _delete) for role in OURS[:3]),
        *(("killed", role, _kill) for role in (*OURS, *SERVERS)),
    ]
    with _measuring(city, observations_per_s) as measuring:
        measuring.settle()
        done["nothing"] = measuring.during(partial(time.sleep, QUIET_S))
        print("nothing", done["nothing"], flush=True)
        for what, role, act in acts:
            name = f"{role.work.partition('/')[2]}, {what}"
            done[name] = measuring.during(partial(act, city, role))
            print(name, done[name], flush=True)
        load = measuring.end()
    return {"load": load, **_count(city, int(load["sent"])), "done": done}


def main() -> int:
    """0 where nothing was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.pauses", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=float, default=20_000.0, help="observations a second")
    parser.add_argument("--json", type=Path, default=HOME / "pauses.json", help="where the figures go")
    given = parser.parse_args()
    try:
        with running_dev(prepare()) as (city, ready_s), tempfile.TemporaryDirectory() as folder:
            incident_s = first_incident(city, Path(folder))
            report: dict[str, Any] = {
                "apply_to_ready_s": round(ready_s),
                "apply_to_incident_s": round(city.since_apply()),
            }
            report |= {"observations_to_incident_s": round(incident_s), **measure(city, given.rate)}
    except CannotRunError as error:
        print(f"it cannot run here: {error}", file=sys.stderr)
        return 1
    finally:
        Engine().clean(keep_images=True)
    given.json.write_text(json.dumps(report, indent=1) + "\n")
    print(given.json.read_text(), end="")
    load: dict[str, Any] = report["load"]
    return int(
        (load["accepted"], load["rejected"]) != (load["sent"], 0) or bool(report["lost"] or report["folded_too_little"])
    )


if __name__ == "__main__":
    sys.exit(main())
