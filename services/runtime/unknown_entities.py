"""What becomes of observations of entities that nobody told of: the declaration of a kind, or the deployment's word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from services.core.kind import Domain, UnknownEntities


def with_unknown(domain: Domain, settings: Mapping[str, str]) -> Domain:
    """The domain with its kinds as URBAN_UNKNOWN_ENTITIES wants them: {"traffic.road_flow": "refuse"}.

    ValueError where it names no kind of the domain; those of other domains are theirs to know.
    """
    wanted: dict[str, UnknownEntities] = {}
    for name, how in settings.items():
        of_domain, dot, kind = name.partition(".")
        if not dot or (of_domain == domain.name and kind not in {k.name for k in domain.kinds}):
            known = ", ".join(f"{domain.name}.{k.name}" for k in domain.kinds)
            raise ValueError(f"URBAN_UNKNOWN_ENTITIES: {name!r} is no kind of observation; {domain.title} has {known}")
        if of_domain == domain.name:
            wanted[kind] = UnknownEntities(how)
    kinds = (replace(k, unknown_entities=wanted[k.name]) if k.name in wanted else k for k in domain.kinds)
    return replace(domain, kinds=tuple(kinds)) if wanted else domain
