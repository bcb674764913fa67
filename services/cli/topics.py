"""`urban topics`: the catalogue of topics, which is also what creates them."""

from __future__ import annotations

import json
from dataclasses import asdict

from services.cli.output import JsonOption, fail, table


def topics(as_json: JsonOption = False) -> None:
    """Print every topic: partitions, retention, key, value, who writes it and who reads it."""
    from services.cli.domains import DomainError, find_domains
    from services.runtime.catalogue import catalogue

    try:
        found = catalogue(find_domains())
    except DomainError as error:
        fail(str(error))
    if as_json:
        print(json.dumps([asdict(topic) for topic in found], indent=1))
        return
    rows = [
        (
            topic.name,
            topic.partitions,
            _retention(topic.retention_ms) + (", compacted" if topic.compacted else ""),
            topic.value,
            " ".join(topic.writers) or "-",
            " ".join(topic.readers) or "-",
        )
        for topic in found
    ]
    print(table(("topic", "partitions", "kept", "value", "written by", "read by"), rows))


def _retention(retention_ms: int) -> str:
    return "for ever" if retention_ms < 0 else f"{retention_ms / 86_400_000:g} days"
