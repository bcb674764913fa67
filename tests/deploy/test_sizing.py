"""The page of sizes is what the figures give, and the manifests have room for what it says."""

from __future__ import annotations

import math
import tomllib

from services.runtime.catalogue import OBSERVATION_PARTITIONS
from tests.benchmarks import sizing
from tests.benchmarks.city import CITY_FILE
from tests.deploy.rendering import named, overlay

CITY = tomllib.loads(CITY_FILE.read_text(encoding="utf-8"))
DEPLOYMENT = CITY["deployment"]


def test_the_page_is_what_the_figures_give():
    assert sizing.PAGE.read_text(encoding="utf-8") == sizing.render(), "python -m tests.benchmarks.sizing --write"


def test_a_larger_city_needs_no_less_of_anything():
    costs = sizing.measured_costs()
    few, many = (sizing.size_of(CITY, people, "dense", costs) for people in (100_000, 10_000_000))
    for name in ("processor", "archiver", "api", "broker", "engine", "memory", "kafka_day"):
        assert getattr(many.whole, name) > 10 * getattr(few.whole, name) > 0
    parts = sum(need.processor for need in many.domains.values())
    assert math.isclose(parts, many.whole.processor)


def test_prod_holds_a_city_of_today_of_ten_million_people_but_for_disks():
    size = sizing.size_of(CITY, 10_000_000, "today", sizing.measured_costs())
    assert sizing.partitions(size, DEPLOYMENT) == OBSERVATION_PARTITIONS == DEPLOYMENT["partitions"]
    clickhouse = named(overlay("prod"), "ClickHouseInstallation", "urban")["spec"]["configuration"]["clusters"][0]
    assert sizing.shards(size, DEPLOYMENT) == clickhouse["layout"]["shardsCount"]
    assert named(overlay("prod"), "KafkaNodePool", "broker")["spec"]["replicas"] >= sizing.FEWEST_BROKERS
