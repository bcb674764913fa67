"""Rows that a version wrote are taken by today's tables: two versions write side by side while one takes over."""

from __future__ import annotations

import pyarrow as pa

from tests.contract.golden.files import read, versions
from tests.integration.processor.city import City


async def test_rows_of_every_version_are_stored_and_found_again(city: City):
    await city.migrate()
    for path in versions():
        blocks = [(kept, pa.ipc.open_stream(kept.value).read_all()) for kept, _ in read(path) if kept.reader == "rows"]
        assert len(blocks) >= 5
        for kept, rows in blocks:
            await city.clickhouse.insert(kept.topic, rows)
            columns = ", ".join(f"`{name}`" for name in rows.column_names if name != "kafka_time")
            ((found,),) = await city.query(f"SELECT count() FROM (SELECT {columns} FROM {kept.topic} FINAL)")
            assert found >= len(rows), f"{path.stem}: {kept.topic}"
            await city.clickhouse.command(f"TRUNCATE TABLE {kept.topic}")
