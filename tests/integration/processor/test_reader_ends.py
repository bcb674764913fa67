"""A reader ends whole while its broker is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import aiokafka.consumer.consumer
import pytest

from deploy.local.kafka import KafkaSettings
from deploy.local.servers import LocalServers, ServerSettings
from services.runtime.kafka_connection import EndingFetcher
from services.runtime.log import FROM_BEGINNING
from services.runtime.reader import KafkaReader
from tests.integration.api.topics import make_topic

TIMEOUT_S = 60.0


@pytest.mark.parametrize("ended_by", [signal.SIGSTOP, signal.SIGKILL])
async def test_who_stops_it_is_not_told_to_stop_and_nothing_of_it_goes_on(
    ended_by: signal.Signals, tmp_path: Path, download_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(aiokafka.consumer.consumer, "Fetcher", EndingFetcher)
    settings = ServerSettings(KafkaSettings(first_port=0), clickhouse=False, cache=download_cache)
    with LocalServers(tmp_path, settings, progress=lambda _: None) as endpoints:
        await make_topic(endpoints.kafka, "quiet", 2)
        before = asyncio.all_tasks()
        reader = KafkaReader(endpoints.kafka, "quiet")
        await reader.start(FROM_BEGINNING)
        assert await reader.read(0.3) == []
        os.kill(endpoints.pids["kafka-1"], ended_by)
        try:
            # So long that what it fetches meets the broker's end.
            assert await reader.read(1.0) == []
            await asyncio.wait_for(reader.stop(), TIMEOUT_S)
            await asyncio.sleep(0)
            assert asyncio.all_tasks() == before
        finally:
            if ended_by is signal.SIGSTOP:
                os.kill(endpoints.pids["kafka-1"], signal.SIGCONT)
