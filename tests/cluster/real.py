"""overlays/dev as it runs on a real node, and how a client outside its pods reaches it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.process import Child
from services.cli.domains import service_names
from tests.cluster import machine
from tests.cluster.control_plane import ControlPlane
from tests.cluster.node import PAUSE, one_node
from tests.cluster.simulated import rolled_out
from tests.deploy.rendering import K8S, Object, named, of_kind, overlay
from tests.images import images
from tests.images.engine import Engine
from tests.images.machine import ROOT

CITY = "urban"
OURS = "app.kubernetes.io/part-of=urban-brain"
# Sixteen roles and two servers begin at once on whatever the machine has.
READY_TIMEOUT_S = 1500.0
LOAD = "tests.cluster.load"


def images_of_dev(engine: Engine, image: str) -> list[str]:
    """Names of the images that overlays/dev asks for, each of which is then in `engine`; `image` is ours."""
    pods = [work["spec"]["template"]["spec"] for work in of_kind(overlay("dev"), "Deployment", "StatefulSet", "Job")]
    asked = {one["image"] for pod in pods for one in (*pod["containers"], *pod.get("initContainers", []))}
    found = []
    for name in sorted(asked):
        whole = f"docker.io/{name}" if "/" in name else f"docker.io/library/{name}"
        if name.startswith("urban-brain:"):
            engine.run("podman", "tag", image, whole)
        found.append(whole)
    return found


class RealCity:
    """The city in the namespace of overlays/dev."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self._applied = 0.0

    def apply(self) -> float:
        """Apply the overlay as the guide does; the seconds until all of it is ready."""
        self._applied = time.monotonic()
        self.plane.kubectl("apply", "--server-side", "--kustomize", str(K8S / "overlays" / "dev"))
        self.rolled_out()
        return self.since_apply()

    def since_apply(self) -> float:
        """Seconds since it was applied."""
        return time.monotonic() - self._applied

    def rolled_out(self) -> float:
        """Wait until every workload runs what it was last told to; the seconds that it took."""
        return rolled_out(self.plane, CITY, READY_TIMEOUT_S)

    def pods(self, selector: str = "") -> list[Object]:
        """Pods that are not on their way out."""
        found = self.plane.get("pods", "-n", CITY, f"--selector={selector}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def inside(self, work: str, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a pod of a workload."""
        return self.plane.kubectl("-n", CITY, "exec", work, "--", *command, check=False)

    def address(self, service: str, port: int) -> str:
        """Where a Service is reached from the node."""
        (found,) = self.plane.get("service", service, "-n", CITY)
        return f"{found['spec']['clusterIP']}:{port}"

    def urban(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """The command `urban` of this checkout, by the addresses of the Services."""
        # Who may read every table, also those that hold what came in; but for its address, as the pod has it.
        secret = named(overlay("dev"), "Secret", "clickhouse-migrate")
        url = _plain(secret, "url").replace("clickhouse:8123", self.address("clickhouse", 8123))
        told = {
            # Kafka has no address but in the cluster; what is asked here does not need it.
            "URBAN_KAFKA": "kafka:9092",
            "URBAN_CLICKHOUSE": url,
            "URBAN_SERVICES": json.dumps({name: self.address(f"{name}-api", 50051) for name in service_names()}),
        }
        command = [sys.executable, "-m", "services.cli.main", *arguments]
        return self.plane.box.run(*command, typed=typed, environment=told)

    def rows(self, statement: str) -> list[list[str]]:
        """What ClickHouse answers, as text; empty where it, or the table, is not there yet."""
        done = self.urban("sql", "--format", "json", statement)
        return [] if done.returncode else [list(map(str, row.values())) for row in json.loads(done.stdout)]

    @contextmanager
    def load(self, city: str) -> Iterator[dict[str, int]]:
        """Sends all the time while it is entered; the figures of load.py are there afterwards."""
        figures: dict[str, int] = {}
        argv = [sys.executable, "-m", LOAD, self.address("traffic-api", 50051), city]
        box = self.plane.box
        log = box.folder / "log" / f"load-{city}.log"
        sending = Child.start(f"load-{city}", box.entering(*argv, inside=False), log, cwd=ROOT)
        self.plane.wait("load", lambda: "started" in sending.tail(), 60.0)
        try:
            yield figures
            _end(sending)
            figures |= json.loads(sending.tail(1))
        finally:
            sending.kill()


@contextmanager
def running_dev(kube: Path) -> Iterator[tuple[RealCity, float]]:
    """overlays/dev on a node of its own, from images that are built here, and the seconds from its apply to all ready.

    CannotRunError where this machine cannot have a node.
    """
    dns = machine.prepare_node()
    engine = Engine()
    base = images.make_base(engine)
    images.make_standins(engine)
    engine.build_from_text(PAUSE, f'FROM {base}\nCMD ["sleep", "infinity"]\n')
    names = images_of_dev(engine, images.make_image(engine))
    with one_node(kube, dns, engine, names) as plane:
        city = RealCity(plane)
        yield city, city.apply()


def is_ready(pod: Object) -> bool:
    """Whether all of a pod says that it can do its work."""
    states = pod["status"].get("containerStatuses", [])
    return bool(states) and all(state["ready"] for state in states)


def restarts(pods: list[Object]) -> dict[str, int]:
    """How often a container of each of our pods was started again."""
    return {pod["metadata"]["name"]: sum(s["restartCount"] for s in pod["status"]["containerStatuses"]) for pod in pods}


def _end(sending: Child) -> None:
    sending.terminate()
    status = sending.wait(120.0)
    if status:
        raise AssertionError(f"the load ended with status {status}:\n{sending.tail()}")


def _plain(secret: Object, key: str) -> str:
    return base64.b64decode(secret["data"][key]).decode()
