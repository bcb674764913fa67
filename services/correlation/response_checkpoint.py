"""The responder's cases as a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any, NamedTuple

import numpy as np
import orjson

from services.core.correlation.incident import IncidentState
from services.core.response.case import Case, Seen
from services.core.signals import Severity
from services.runtime.packing import pack, unpack
from urban.common.v1.checkpoint_pb2 import Checkpoint

DOMAIN, KIND = "correlation", "response"
# Raise it when the documents below change.
LAYOUT = 1


class SavedCases(NamedTuple):
    """What a checkpoint holds."""

    cases: list[Case]
    next_offset: int  # of the incidents
    told_offset: int  # of the notifications: those before it are of this state


def checkpoint_of_cases(partition: int, saved: SavedCases) -> Checkpoint:
    """The message of a state."""
    documents = [orjson.dumps(asdict(case), default=sorted).decode() for case in saved.cases]
    body = pack({"told_offset": np.array([saved.told_offset], "<i8")}, {"cases": documents})
    return Checkpoint(
        layout=LAYOUT, domain=DOMAIN, kind=KIND, partition=partition, next_offset=saved.next_offset, body=body
    )


def cases_in(checkpoint: Checkpoint) -> SavedCases:
    """The state that a checkpoint holds."""
    arrays, texts = unpack(checkpoint.body)
    cases = [_case(orjson.loads(document)) for document in texts["cases"]]
    return SavedCases(cases, checkpoint.next_offset, int(arrays["told_offset"][0]))


def _case(document: dict[str, Any]) -> Case:
    seen = document.pop("seen")
    seen["state"], seen["severity"] = IncidentState(seen["state"]), Severity(seen["severity"])
    seen["acted"] = frozenset(seen["acted"])
    seen["supersedes"], seen["signals"] = tuple(seen["supersedes"]), ()
    document["told"], document["breached"] = tuple(document["told"]), tuple(document["breached"])
    return Case(Seen(**_known(Seen, seen)), **_known(Case, document))


def _known(type_: type, document: dict[str, Any]) -> dict[str, Any]:
    """Without what a newer version of the software may have written."""
    names = {field.name for field in fields(type_)}
    return {name: value for name, value in document.items() if name in names}
