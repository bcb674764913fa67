"""What callers of CorrelationService may ask: names, texts and identities, checked with field, value and reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from services.runtime.errors import Violation, invalid_argument, invalid_field

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(rf"cities/([a-z0-9-]{{1,63}})/incidents/({UUID.pattern})")
MAX_NAME_CHARACTERS = 128  # of people and roles
MAX_NOTE_CHARACTERS = 1000
MAX_UNITS_CHARACTERS = 256
# By field: fewest and most characters.
TEXTS = {
    "actor": (1, MAX_NAME_CHARACTERS),
    "assignee": (1, MAX_NAME_CHARACTERS),
    "units": (1, MAX_UNITS_CHARACTERS),
    "note": (0, MAX_NOTE_CHARACTERS),
}


def read_incident_name(name: str, field: str = "name") -> tuple[str, str]:
    """City and id of an incident's resource name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise invalid_field(field, name, "must be cities/{city}/incidents/{incident}, the incident a UUID")
    return match[1], match[2]


def check_deed(request: Any, *, note_needed: bool) -> None:
    """The texts and the id of a request to act on an incident. INVALID_ARGUMENT names all that is wrong."""
    if wrong := list(_violations(request, note_needed)):
        raise invalid_argument(wrong)


def _violations(request: Any, note_needed: bool) -> Iterator[Violation]:
    for field in (f.name for f in request.DESCRIPTOR.fields if f.name in TEXTS):
        fewest, most = TEXTS[field]
        fewest = 1 if field == "note" and note_needed else fewest
        text: str = getattr(request, field)
        if len(text) > most or (fewest and not text.strip()):
            said = f"must be {fewest} to {most} characters" if fewest else f"must be {most} characters at most"
            yield Violation(field, text, said)
    if request.request_id and not UUID.fullmatch(request.request_id.lower()):
        yield Violation("request_id", request.request_id, "must be a UUID or empty")
