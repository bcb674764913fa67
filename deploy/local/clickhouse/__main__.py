"""Serves ClickHouse's HTTP interface: `python -m deploy.local.clickhouse --data FOLDER --port PORT`."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from deploy.local.clickhouse.app import build_app
from deploy.local.clickhouse.settings import ClickHouseSettings

# Longer than clients keep idle connections, so that they do not meet one just closed.
KEEP_ALIVE_S = 75
STOP_PATIENCE_S = 3


def read_arguments() -> ClickHouseSettings:
    """Settings from the command line."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.clickhouse", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--memory-mib", type=int, default=ClickHouseSettings.memory_mib)
    parser.add_argument("--body-mib", type=int, default=ClickHouseSettings.body_mib)
    parser.add_argument("--no-fsync", action="store_true", help="faster inserts that a loss of power may undo")
    parser.add_argument("--users", type=Path, help="file of users; everybody who asks is its `default`")
    given = parser.parse_args()
    return ClickHouseSettings(
        given.data,
        given.port,
        memory_mib=given.memory_mib,
        body_mib=given.body_mib,
        fsync=not given.no_fsync,
        users=given.users,
    )


def serve(settings: ClickHouseSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    uvicorn.run(
        build_app(settings),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_PATIENCE_S,
        server_header=False,
    )


if __name__ == "__main__":
    serve(read_arguments())
