"""`urban replay` against a service of a test, as a process of its own, until all that it sent is handled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.processor.city import City
from tests.integration.processor.command import Answer, until_ready, urban

# A way out of a hang, on a machine that has much else to do.
WAIT_S = 600.0


@dataclass
class Service:
    """One domain's service, all of its roles, by the clock of a replay."""

    city: City
    domain: str
    address: str
    answers: list[Answer] = field(default_factory=list)

    @classmethod
    async def start(cls, city: City, domain: str, **environment: str) -> Service:
        ready = city.folder / f"{domain}.json"
        city.start("all", domain, URBAN_CLOCK="replay", URBAN_READY_FILE=str(ready), **environment)
        ports = await until_ready(city, ready)
        return cls(city, domain, f"127.0.0.1:{ports['grpc']}")

    async def replay(
        self, kinds: str, *arguments: str | Path, status: int = 0, wait_s: float = WAIT_S
    ) -> dict[str, Any]:
        """What the command says, as JSON; it must end with this status, and within so many seconds."""
        told = (*map(str, arguments), "--json", "--city", "testville")
        answer = await urban(self.city, "replay", kinds, *told, services={self.domain: self.address}, wait_s=wait_s)
        assert answer.status == status, answer.output + answer.errors
        self.answers.append(answer)
        found: dict[str, Any] = json.loads(answer.output)
        for kind in kinds.split(","):
            await self.city.until_handled(self.domain, kind.partition(".")[2], wait_s)
        return found

    async def ledger(self, kind: str) -> tuple[int, ...]:
        """Observations read, folded, duplicate, late, dead-lettered, of a kind."""
        names: Sequence[str] = ("read", "folded", "duplicate", "late", "dead_lettered")
        sums = ", ".join(f"toInt64(sum({name}))" for name in names)
        return (await self.city.query(f"SELECT {sums} FROM {self.domain}.ledger FINAL WHERE kind = '{kind}'"))[0]
