"""What an entity must be like to be taken; what is wrong is named by field, value and reason."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from services.runtime.declared import find_domain
from services.runtime.entities import ENTITY_NAME, Entity
from services.runtime.errors import Violation

MAX_DISPLAY_NAME = 256
MAX_ATTRIBUTES = 64
MAX_LABEL = 1024

_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")


def find_violations(domain: str, entity: Entity) -> Iterator[Violation]:
    """What is wrong with an entity of a domain that is to be created or replaced."""
    match = ENTITY_NAME.fullmatch(entity.name)
    if match is None:
        yield Violation("name", entity.name, "must be cities/{city}/domains/{domain}/entities/{entity}")
    elif match["domain"] != domain:
        yield Violation("name", entity.name, f"must be of the domain {domain}")
    if not _TYPE.fullmatch(entity.type):
        yield Violation("type", entity.type, "must be 1 to 64 of a-z, 0-9 and '_', a letter first")
    if len(entity.display_name) > MAX_DISPLAY_NAME:
        yield Violation("display_name", entity.display_name, f"must have at most {MAX_DISPLAY_NAME} characters")
    if entity.HasField("position"):
        yield from _find_in_position(entity)
    yield from _find_in_attributes(entity)
    yield from _find_beyond_bounds(domain, entity)


def _find_in_position(entity: Entity) -> Iterator[Violation]:
    for name, value, most in (
        ("latitude", entity.position.latitude, 90),
        ("longitude", entity.position.longitude, 180),
    ):
        if not -most <= value <= most:  # NaN is not
            yield Violation(f"position.{name}", str(value), f"must be -{most} to {most} degrees")


def _find_in_attributes(entity: Entity) -> Iterator[Violation]:
    for field, names in (("numbers", sorted(entity.numbers)), ("labels", sorted(entity.labels))):
        if len(names) > MAX_ATTRIBUTES:
            yield Violation(field, f"{len(names)} of them", f"must be at most {MAX_ATTRIBUTES}")
        for name in names:
            if not _ATTRIBUTE.fullmatch(name):
                yield Violation(field, name, "a name must be 1 to 64 letters, digits, '_', '.', ':', '-'")
    for name, number in sorted(entity.numbers.items()):
        if not math.isfinite(number):
            yield Violation(f"numbers[{name}]", str(number), "must be a finite number")
    for name, label in sorted(entity.labels.items()):
        if len(label) > MAX_LABEL:
            yield Violation(f"labels[{name}]", label, f"must have at most {MAX_LABEL} characters")


def _find_beyond_bounds(domain: str, entity: Entity) -> Iterator[Violation]:
    """Numbers that a detector of the domain could make nothing of."""
    declared = find_domain(domain)
    for name, (least, most) in sorted(declared.number_bounds.items()) if declared else ():
        number = entity.numbers.get(name, least)
        if math.isfinite(number) and not least <= number <= most:
            yield Violation(f"numbers[{name}]", str(number), f"must be {least:g} to {most:g}")
