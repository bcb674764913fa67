"""What holds in each city, out of the settings: its clock, and whose standards it is judged by."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.kind import Domain
from services.core.windows import Place
from services.runtime.baselines import local_time
from services.runtime.settings import Settings


def places_of(domain: Domain, settings: Settings) -> Mapping[str, Place]:
    """By city, those of which a setting says something. ZoneInfoNotFoundError for a zone that does not exist.

    ValueError where a city is to be judged by a programme that the domain does not have; a domain that has none does
    not look at them.
    """
    known = domain.programmes
    unknown = sorted((c, p) for c, p in settings.programmes.items() if p not in known) if known else []
    if unknown:
        told = ", ".join(f"{city}={programme!r}" for city, programme in unknown)
        raise ValueError(f"URBAN_PROGRAMMES: {domain.name} has no programme for {told}; it has {', '.join(known)}")
    return {
        city: Place(
            local_time(settings.time_zones.get(city, "UTC")),
            settings.programmes.get(city, known[0] if known else ""),
        )
        for city in sorted({*settings.time_zones, *settings.programmes})
    }
