"""Runs Kafka and ClickHouse until Ctrl-C: `python -m deploy.local [--root .urban] [--reset]`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from deploy.local.java import JavaNotFoundError
from deploy.local.kafka import KafkaError, KafkaSettings
from deploy.local.kafka_jars import JarError
from deploy.local.root import RootInUseError, reset
from deploy.local.servers import LocalServers, ServerError, ServerSettings

CHECK_INTERVAL_S = 1.0


def say(line: str) -> None:
    """One line of progress, at once."""
    print(line, flush=True)


def read_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path(".urban"), help="folder of data, logs and downloads")
    parser.add_argument("--cache", type=Path, help="folder of downloads, ROOT/cache by default")
    parser.add_argument("--reset", action="store_true", help="wipe the data, keep the downloads, and end")
    parser.add_argument("--brokers", type=int, default=1, help="Kafka nodes")
    parser.add_argument("--kafka-port", type=int, default=9092, help="preferred port; 0 for any")
    parser.add_argument("--clickhouse-port", type=int, default=8123, help="preferred port; 0 for any")
    return parser.parse_args()


def run(given: argparse.Namespace) -> None:
    """Start both servers, say where they are, and keep them until a signal asks to stop or one of them ends."""
    asked_to_stop = threading.Event()
    servers = LocalServers(
        given.root,
        ServerSettings(
            kafka=KafkaSettings(brokers=given.brokers, first_port=given.kafka_port),
            clickhouse_port=given.clickhouse_port,
            cache=given.cache,
        ),
        say,
    )
    with servers as endpoints:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: asked_to_stop.set())
        say(f"kafka       {endpoints.kafka}")
        say(f"clickhouse  {endpoints.clickhouse}")
        say("ready; Ctrl-C stops both")
        while not asked_to_stop.wait(CHECK_INTERVAL_S):
            servers.check()
        say("stopping")
    say("stopped")


def main() -> int:
    """Exit status: 0 stopped as asked, 1 a server failed, 130 interrupted while starting."""
    given = read_arguments()
    # A polite kill while starting must clean up just as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if given.reset:
            reset(given.root)
            say(f"{given.root}: data wiped, downloads kept")
        else:
            run(given)
    except (RootInUseError, ServerError, KafkaError, JarError, JavaNotFoundError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
