"""Settings that are refused, or that contradict each other or the city, as this environment has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfoNotFoundError

from pydantic import ValidationError
from pydantic_settings import SettingsError

from services.cli.checkup import checks
from services.cli.checkup.finding import Finding
from services.core.kind import Domain
from services.correlation.plans import load_plans
from services.runtime.places import places_of
from services.runtime.settings import Settings
from services.runtime.unknown_entities import with_unknown

# Others wait so long for a worker that hands its partitions over (services/runtime/README.md).
HANDOVER_S = 30.0


def read_settings() -> Settings | Finding:
    """The settings of this environment, or why there are none."""
    try:
        return Settings()  # type: ignore[call-arg]  # every field has a default
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "_".join(("URBAN", *(str(part).upper() for part in first["loc"][:1]))) if first["loc"] else ""
        return checks.SETTINGS_REFUSED.found(f"{place}: {first['msg']}".removeprefix(": "))
    except SettingsError as error:
        return checks.SETTINGS_REFUSED.found(f"{error}: {error.__cause__}")


def judge_settings(settings: Settings, domains: Sequence[Domain]) -> Iterator[Finding]:
    """Findings about settings that are valid each by itself."""
    for text in (*_refused_by_domains(settings, domains), *_contradictions(settings, domains)):
        yield checks.SETTINGS_CONTRADICT.found(text)


def _refused_by_domains(settings: Settings, domains: Sequence[Domain]) -> Iterator[str]:
    """What a service would end with when it starts; each once."""
    told = set()
    for domain in domains:
        try:
            with_unknown(domain, settings.unknown_entities)
            places_of(domain, settings)
        except (ValueError, ZoneInfoNotFoundError) as error:
            told.add(str(error.args[0] if error.args else error))
    yield from sorted(told)


def _contradictions(settings: Settings, domains: Sequence[Domain]) -> Iterator[str]:
    names = {domain.name for domain in domains}
    strangers = sorted(kind for kind in settings.unknown_entities if kind.partition(".")[0] not in names)
    if strangers:
        yield f"URBAN_UNKNOWN_ENTITIES names {', '.join(strangers)}; the domains are {', '.join(sorted(names))}"
    needed_s = settings.session_timeout_seconds + HANDOVER_S
    if settings.silence_seconds < needed_s:
        yield (
            f"URBAN_SILENCE_SECONDS={settings.silence_seconds:g} is less than a takeover may last,"
            f" URBAN_SESSION_TIMEOUT_SECONDS={settings.session_timeout_seconds:g} and {HANDOVER_S:g}: the correlation"
            " calls partitions silent that only change hands"
        )
    if settings.dead_letter_flood == "pass":
        yield "URBAN_DEAD_LETTER_FLOOD=pass: a flood of bad records stops nobody; take it back when the flood is over"
    told = {
        name
        for plan in load_plans()
        for level in plan.levels
        for names_told in (level.tell, *(clock.tell for clock in level.clocks))
        for name in names_told
    }
    unaddressed = sorted(told - settings.receivers.keys())
    if settings.receivers and unaddressed:
        yield (
            f"URBAN_RECEIVERS has no address of {', '.join(unaddressed)}, whom response plans tell:"
            f" it has {', '.join(sorted(settings.receivers))}"
        )
