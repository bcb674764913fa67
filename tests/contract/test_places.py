"""What holds in a city comes from settings, and what cannot hold ends the process with the setting's name."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import numpy as np
import pytest

from services.core.kind import HOUR_MS
from services.environment.domain import ENVIRONMENT
from services.runtime.places import places_of
from services.runtime.settings import Settings
from services.traffic.domain import TRAFFIC


def settings_of(**given: Any) -> Settings:
    return Settings(**given)


JANUARY = np.array([1_767_225_600_000])


def test_a_city_has_its_clock_and_its_programme_and_what_is_not_said_is_utc_and_the_first():
    settings = settings_of(
        time_zones={"boston": "America/New_York", "beijing": "Asia/Shanghai"}, programmes={"boston": "us"}
    )
    places = places_of(ENVIRONMENT, settings)
    assert {city: place.programme for city, place in places.items()} == {"boston": "us", "beijing": "cn"}
    assert [int(places[c].clock.offset_ms(JANUARY)[0]) for c in ("boston", "beijing")] == [-5 * HOUR_MS, 8 * HOUR_MS]
    assert places_of(ENVIRONMENT, settings_of(time_zones={}, programmes={})) == {}


def test_a_programme_that_is_not_there_is_refused_by_the_domain_that_has_some():
    settings = settings_of(programmes={"paris": "eu", "boston": "us"})
    with pytest.raises(ValueError, match="URBAN_PROGRAMMES: environment has no programme for paris='eu'; it has cn, "):
        places_of(ENVIRONMENT, settings)
    assert places_of(TRAFFIC, settings)["paris"].programme == "eu"  # which it does not look at


def test_a_zone_that_is_not_there_is_refused():
    with pytest.raises(ZoneInfoNotFoundError):
        places_of(TRAFFIC, settings_of(time_zones={"atlantis": "Ocean/Atlantis"}))
