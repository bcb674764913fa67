"""Apache Kafka itself on this machine: KRaft, one node by default, several for tests of faults."""

from __future__ import annotations

import base64
import shutil
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.java import find_java
from deploy.local.kafka_config import NodePorts, TlsListener, node_properties, tls_properties, write_properties
from deploy.local.kafka_jars import classpath
from deploy.local.kafka_probe import Cluster, ask_cluster
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.process import Child

# C1 alone starts in two thirds of the time and takes a fifth less memory; the broker mostly moves bytes anyway.
JVM_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.awt.headless=true")
LOG_FLAGS = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)
FORMAT_TIMEOUT_S = 60.0
FORMATTED_MARK = "formatted"

Progress = Callable[[str], None]


class KafkaError(RuntimeError):
    """Kafka did not start, or did not stay up; the message holds its last log lines."""


@dataclass(frozen=True)
class KafkaSettings:
    """How many nodes, on which ports, with which heap; `overrides` are server properties that win over ours."""

    brokers: int = 1
    first_port: int = 9092  # 0: any free port
    heap_mib: int = 256
    overrides: Mapping[str, str] = field(default_factory=dict)
    tls: TlsListener | None = None  # a second listener, on any free port

    def __post_init__(self) -> None:
        if not 1 <= self.brokers <= 9:
            raise ValueError(f"brokers must be 1 to 9, not {self.brokers}")
        if not 0 <= self.first_port <= 65000:
            raise ValueError(f"first_port must be 0 to 65000, not {self.first_port}")
        if self.heap_mib < 128:
            raise ValueError(f"heap_mib must be at least 128, not {self.heap_mib}")


class KafkaCluster:
    """The nodes of one cluster and their processes. Node ids are 1 to n; data lie in `root`/kafka/node-<id>/data."""

    def __init__(
        self,
        root: Path,
        cache: Path,
        settings: KafkaSettings,
        progress: Progress,
        *,
        pass_fds: Sequence[int] = (),
        logs: Path | None = None,
    ) -> None:
        self.settings = settings
        self.ports: dict[int, NodePorts] = {}
        self.children: dict[int, Child] = {}
        self._home = root.absolute() / "kafka"
        self._logs = logs or root.absolute() / "logs"
        self._cache = cache
        self._progress = progress
        self._pass_fds = tuple(pass_fds)
        self._java = ""
        self._classpath = ""

    @property
    def bootstrap(self) -> str:
        """Addresses for clients: `127.0.0.1:9092`, comma-separated when there are several nodes."""
        return ",".join(f"{LOOPBACK}:{ports.broker}" for _, ports in sorted(self.ports.items()))

    @property
    def bootstrap_tls(self) -> str:
        """The same of the listeners by TLS."""
        return ",".join(f"{LOOPBACK}:{ports.tls}" for _, ports in sorted(self.ports.items()))

    @property
    def node_ids(self) -> range:
        """Ids of all nodes, running or not."""
        return range(1, self.settings.brokers + 1)

    def start(self) -> None:
        """Fetch what is missing, format new data and start every node; `wait_until_ready` says when they serve."""
        self._classpath = classpath(self._cache, self._progress)
        self._java = find_java()
        self.choose_ports()
        self._format_new_nodes()
        for node in self.node_ids:
            self.start_node(node)

    def choose_ports(self) -> None:
        """Give every node free ports, from the preferred one upwards, and write its settings."""
        taken: set[int] = set()
        self.ports = {}
        for node in self.node_ids:
            first = self.settings.first_port
            broker = free_port(first and first + node - 1, taken)
            taken.add(broker)
            controller = free_port(0, taken)
            taken.add(controller)
            by_tls = free_port(0, taken) if self.settings.tls else 0
            taken.add(by_tls)
            self.ports[node] = NodePorts(broker, controller, by_tls)
        for node in self.node_ids:
            home = self._node_home(node)
            home.mkdir(parents=True, exist_ok=True)
            tls = self.settings.tls
            more = {**(tls_properties(self.ports[node], tls) if tls else {}), **self.settings.overrides}
            properties = node_properties(node, self.ports, home / "data", more)
            write_properties(home / "server.properties", properties)

    def start_node(self, node: int) -> None:
        """Start one node that is not running, also after `kill_node`."""
        heap = f"{self.settings.heap_mib}m"
        argv = [self._java, f"-Xms{heap}", f"-Xmx{heap}", *JVM_FLAGS, "-XX:+ExitOnOutOfMemoryError", *LOG_FLAGS]
        argv += ["-cp", self._classpath, "kafka.Kafka", str(self._node_home(node) / "server.properties")]
        self.children[node] = self._spawn(f"kafka-{node}", argv)

    def kill_node(self, node: int) -> None:
        """End one node without warning (SIGKILL), as a crash would."""
        self.children[node].kill()
        self.children[node].wait()

    def is_ready(self, node: int | None = None) -> bool:
        """Whether `node` (every node when None) answers and sees the whole cluster.

        Raises `KafkaError` if a process ended.
        """
        nodes = self.node_ids if node is None else (node,)
        # Another cluster's broker may have taken the port a moment ago; it also answers, and ours is about to end.
        expected = Cluster(self._cluster_id(), frozenset(self.node_ids))
        for one in nodes:
            self.check(one)
            try:
                if ask_cluster(LOOPBACK, self.ports[one].broker) != expected:
                    return False
            except (OSError, ValueError):
                return False
        return True

    def wait_until_ready(self, timeout_s: float = 90.0) -> None:
        """Block until every node serves; raises `KafkaError` when one ends or `timeout_s` seconds pass."""
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if time.monotonic() > deadline:
                raise KafkaError(f"kafka: not ready after {timeout_s:.0f} s\n{self.children[1].tail()}")
            time.sleep(0.05)

    def check(self, node: int) -> None:
        """Raise `KafkaError` with the last log lines if the process of `node` has ended."""
        child = self.children[node]
        status = child.poll()
        if status is not None:
            raise KafkaError(f"{child.name} ended with status {status} ({child.log})\n{child.tail()}")

    def _format_new_nodes(self) -> None:
        """Format the data folders that are not formatted; all nodes carry the cluster id of the first start.

        A mark beside the data says that formatting came to its end; what an interrupted one left is thrown away.
        """
        new = [node for node in self.node_ids if not (self._node_home(node) / FORMATTED_MARK).is_file()]
        if not new:
            return
        cluster_id = self._cluster_id()
        self._progress(f"kafka: formatting {'a new data folder' if len(new) == 1 else f'{len(new)} new data folders'}")
        for node in new:
            shutil.rmtree(self._node_home(node) / "data", ignore_errors=True)
        running: dict[int, Child] = {}
        try:
            for node in new:
                running[node] = self._spawn(f"kafka-format-{node}", self._format_argv(node, cluster_id))
            for node, child in running.items():
                if child.wait(FORMAT_TIMEOUT_S) != 0:
                    raise KafkaError(f"kafka: formatting node {node} failed\n{child.tail()}")
                (self._node_home(node) / FORMATTED_MARK).touch()
        finally:
            for child in running.values():
                child.stop(0.0)

    def _format_argv(self, node: int, cluster_id: str) -> list[str]:
        properties = self._node_home(node) / "server.properties"
        argv = [self._java, "-Xmx128m", *JVM_FLAGS, "-cp", self._classpath, "kafka.tools.StorageTool", "format"]
        return [*argv, "-t", cluster_id, "-c", str(properties)]

    def _cluster_id(self) -> str:
        path = self._home / "cluster-id"
        if not path.is_file():
            path.write_text(new_cluster_id() + "\n")
        return path.read_text().strip()

    def _spawn(self, name: str, argv: list[str]) -> Child:
        return Child.start(name, argv, self._logs / f"{name}.log", cwd=self._home, pass_fds=self._pass_fds)

    def _node_home(self, node: int) -> Path:
        return self._home / f"node-{node}"


def new_cluster_id() -> str:
    """A random KRaft cluster id: 16 bytes in URL-safe base64; never one that looks like an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):
            return text
