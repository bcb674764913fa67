"""The embedded ClickHouse as its official image runs: user and password from CLICKHOUSE_*, data in one folder."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.local.clickhouse.__main__ import serve
from deploy.local.clickhouse.settings import ClickHouseSettings

if __name__ == "__main__":
    serve(
        ClickHouseSettings(
            Path("/var/lib/clickhouse"),
            8123,
            host="0.0.0.0",
            memory_mib=1024,
            user=os.environ["CLICKHOUSE_USER"],
            password=os.environ["CLICKHOUSE_PASSWORD"],
        )
    )
