"""A processor of road flow with windows of every sort and fetches of a chosen size, as a process of its own.

`python -m tests.integration.processor.worker BYTES FILE`: a fetch brings so many bytes of a partition, or one batch;
the file tells at the end how many records each fetch brought.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aiokafka.structs import ConsumerRecord

from services.core.kind import MINUTE_MS, Window
from services.runtime import faust_driver, roles
from services.runtime.catalogue import domain_topics, shared_topics
from services.runtime.processor import KindProcessor
from services.runtime.service import run_service
from services.runtime.settings import Settings
from services.traffic.domain import ROAD_FLOW, TRAFFIC

HOPPING = Window("10m", 10 * MINUTE_MS, 5 * MINUTE_MS)
SESSION = Window("busy", 60 * MINUTE_MS, gap_ms=5 * MINUTE_MS)
DOMAIN = replace(TRAFFIC, kinds=(replace(ROAD_FLOW, windows=(*ROAD_FLOW.windows, HOPPING, SESSION)),))


def main(fetch_bytes: int, told: Path) -> int:
    """The exit status of the process."""
    sizes: list[int] = []

    class Watched(KindProcessor):
        async def handle(self, records_of_fetch: Sequence[ConsumerRecord]) -> None:
            sizes.append(len(records_of_fetch))
            await super().handle(records_of_fetch)

    faust_driver.MAXIMUM_PARTITION_FETCH_BYTES = fetch_bytes
    setattr(roles, "KindProcessor", Watched)  # noqa: B010 (what makes processors shall make these)
    settings = Settings()  # type: ignore[call-arg]  # every field has a default
    topics = (*domain_topics(DOMAIN), *shared_topics((DOMAIN,)))
    status = run_service(DOMAIN.name, settings, {"processor": roles.ProcessorRole(DOMAIN, settings)}, topics)
    told.write_text(json.dumps(sizes))
    return status


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
