"""What `urban doctor` makes of facts: every one that it may find is found at its fault, and not otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.cli.addresses import ServiceAddress
from services.cli.books import Book
from services.cli.checkup import checks
from services.cli.checkup.checks import CHECKS
from services.cli.checkup.contradictions import judge_settings, read_settings
from services.cli.checkup.event_time import BEHIND_S, Progress, judge_event_time
from services.cli.checkup.finding import RUNBOOK, Finding, Severity
from services.cli.checkup.log_facts import GroupFacts, LogFacts, PartitionFacts, TopicFacts, groups_of
from services.cli.checkup.log_judging import judge_log
from services.cli.checkup.processes import ProcessFacts, judge_clocks, judge_processes
from services.cli.checkup.receivers import judge_receivers
from services.cli.checkup.tables import Disk, Flood, Letters, TableFacts, judge_tables
from services.cli.domains import find_domains
from services.runtime.catalogue import catalogue, consumer_group, observations
from services.runtime.settings import Settings
from tests.deploy.rendering import ROOT

DOMAINS = find_domains()
TRAFFIC = next(domain for domain in DOMAINS if domain.name == "traffic")
TOPICS = catalogue(DOMAINS)
KAFKA = "kafka:9092"
NOW_MS = 1_780_272_000_000
ROAD_FLOW = observations("traffic", "road_flow")
WELL = TableFacts("26.9", 0.1, (Disk("default", 50, 100),), (("traffic.signals", 7),), 1000, (), (), True)


def names(findings) -> list[str]:
    return [finding.check for finding in findings]


def healthy(brokers: int = 3) -> LogFacts:
    """A log as the catalogue wants it, whose groups have read everything."""
    copies = min(brokers, 3)
    insync = {"min.insync.replicas": "2" if brokers > 1 else "1"}
    places = {(topic.name, p): (10, 500) for topic in TOPICS for p in range(topic.partitions)}
    return LogFacts(
        brokers,
        {
            t.name: TopicFacts({p: PartitionFacts(1, copies, copies) for p in range(t.partitions)}, t.configs | insync)
            for t in TOPICS
        },
        places,
        {
            group: GroupFacts("Stable", 1, {place: 500 for place in places if place[0] in topics})
            for group, topics in groups_of(TOPICS).items()
        },
    )


def with_topic(facts: LogFacts, **changed: Any) -> LogFacts:
    return replace(facts, topics={**facts.topics, ROAD_FLOW: replace(facts.topics[ROAD_FLOW], **changed)})


def with_group(facts: LogFacts, group: str, **changed: Any) -> LogFacts:
    return replace(facts, groups={**facts.groups, group: replace(facts.groups[group], **changed)})


def judged(facts: LogFacts) -> list[Finding]:
    return list(judge_log(KAFKA, TOPICS, facts))


@pytest.mark.parametrize("brokers", [1, 3])
def test_a_log_as_the_catalogue_wants_it_is_well(brokers):
    assert judged(healthy(brokers)) == []


def test_a_topic_that_is_missing_is_told_with_who_makes_it():
    facts = healthy()
    (found,) = judged(replace(facts, topics={n: t for n, t in facts.topics.items() if n != ROAD_FLOW}))
    assert (found.check, found.next) == ("topic-missing", "python -m services.traffic api")
    assert ROAD_FLOW in found.what


def test_a_topic_of_another_form_is_told_with_both_numbers():
    facts = healthy()
    copies = {p: PartitionFacts(1, 3, 3) for p in range(5)}
    (found,) = judged(with_topic(facts, partitions=copies))
    assert (found.check, "5 partitions" in found.what, "says 4" in found.what) == ("topic-partitions", True, True)
    configs = {**facts.topics[ROAD_FLOW].configs, "retention.ms": "60000"}
    (found,) = judged(with_topic(facts, configs=configs))
    assert found.check == "topic-settings"
    assert found.what == f"{ROAD_FLOW}: retention.ms = 60000 instead of 604800000"
    assert found.next.endswith(f"--alter --topic {ROAD_FLOW} --add-config retention.ms=604800000")


@pytest.mark.parametrize(
    ("partition", "check"),
    [
        (PartitionFacts(-1, 3, 3), "partition-unavailable"),
        (PartitionFacts(1, 3, 1), "partition-unavailable"),  # two have to be in sync
        (PartitionFacts(1, 3, 2), "partition-under-replicated"),
        (PartitionFacts(1, 1, 1), "partition-unavailable"),
    ],
)
def test_partitions_without_their_copies(partition, check):
    copies = {**{p: PartitionFacts(1, 3, 3) for p in range(4)}, 2: partition}
    found = judged(with_topic(healthy(), partitions=copies))
    assert found[0].check == check
    assert f"{ROAD_FLOW}[2]" in found[0].what


def test_a_record_that_one_broker_alone_acknowledges_is_not_durable():
    configs = {**healthy().topics[ROAD_FLOW].configs, "min.insync.replicas": "1"}
    (found,) = judged(with_topic(healthy(), configs=configs))
    assert (found.check, found.severity) == ("topic-not-durable", Severity.WARNING)


def test_groups_without_members_behind_or_beyond_the_log():
    processor, archiver = consumer_group("traffic", "processor"), consumer_group("traffic", "archiver")
    (found,) = judged(with_group(healthy(), processor, members=0, state="Empty"))
    assert (found.check, found.next) == ("group-empty", "python -m services.traffic processor")
    facts = healthy()
    behind = replace(facts, held={**facts.held, (ROAD_FLOW, 1): (0, 20_000)})
    assert names(judged(behind)) == ["group-behind", "archiver-behind"]
    beyond = {**facts.groups[archiver].committed, (ROAD_FLOW, 3): 501}
    (found,) = judged(with_group(facts, archiver, committed=beyond))
    assert (found.check, f"{ROAD_FLOW}[3] at 501, the log has 10 to 500" in found.what) == ("group-beyond-log", True)
    gone = {**facts.groups[archiver].committed, (ROAD_FLOW, 3): 9}
    assert names(judged(with_group(facts, archiver, committed=gone))) == ["group-beyond-log"]


def test_tables_that_are_well():
    assert list(judge_tables(WELL, {})) == []


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        (replace(WELL, disks=(Disk("default", 2, 100),)), "disk-full"),
        (replace(WELL, disks=(Disk("default", 9, 100),)), "disk-filling"),
        (replace(WELL, parts=(("traffic.signals 202411", 501),)), "parts-many"),
        (replace(WELL, read_only=("traffic.signals",)), "table-read-only"),
        (replace(WELL, stuck=("traffic.signals: no",)), "mutation-stuck"),
        (replace(WELL, books={"traffic": [Book("t", 1, 9, 2, 9, 0)]}), "ledger-difference"),
        (replace(WELL, books={"traffic": [Book("t", 1, 9, 0, 9, -3)]}), "archive-difference"),
        (replace(WELL, letters=(Letters("traffic", "parking", "invalid", 1, 2, "x"),)), "dead-letters"),
        (replace(WELL, letters=(Letters("traffic", "parking", "unknown", 1, 2, "x"),)), "quarantine"),
        (replace(WELL, floods=(Flood("traffic", "road_flow", ROAD_FLOW, 1, 900, 400),)), "dead-letter-flood"),
    ],
)
def test_each_fault_of_the_tables_is_found(facts, check):
    assert names(judge_tables(facts, {(ROAD_FLOW, 1): 800})) == [check]


def test_a_flood_that_the_worker_has_passed_is_none():
    flood = replace(WELL, floods=(Flood("traffic", "road_flow", ROAD_FLOW, 1, 900, 400),))
    assert list(judge_tables(flood, {(ROAD_FLOW, 1): 902})) == []


def test_books_that_are_not_compared_yet_are_no_fault():
    assert list(judge_tables(replace(WELL, books={"traffic": [Book("t", 1, 9, 0, None, None)]}), {})) == []


KIND = next(kind for kind in TRAFFIC.kinds if kind.name == "road_flow")
BOUND_MS = KIND.disorder_ms + int(BEHIND_S * 1000)


def event_time(clock: str, lag: int = 0, served: bool = True, **of: Progress | None) -> list[Finding]:
    """Road flow has these partitions (p0, p1); all other kinds of traffic are as they should be."""
    well = Progress(NOW_MS - 2_000, NOW_MS - 1_000, NOW_MS)
    progress = {("traffic", kind.name, p): well for kind in TRAFFIC.kinds for p in range(2)}
    lags = dict.fromkeys(progress, 0)
    for name, told in of.items():
        key = ("traffic", "road_flow", int(name[1:]))
        lags[key] = lag
        if told is None:
            del progress[key]
        else:
            progress[key] = told
    return list(judge_event_time([TRAFFIC], progress, lags, ["traffic"] if served else [], clock, NOW_MS))


def still(ms: int) -> Progress:
    return Progress(ms, ms, NOW_MS)


def test_event_time_that_goes_on_is_well():
    assert event_time("wall") == event_time("replay") == []
    assert event_time("wall", p1=still(NOW_MS - BOUND_MS)) == []


def test_a_partition_that_stands_still_is_named_with_what_waits_in_it():
    (found,) = event_time("wall", lag=12, p1=still(NOW_MS - BOUND_MS - 1))
    assert found.check == "event-time-still"
    assert "traffic.road_flow[1] stands at" in found.what
    assert "12 records wait" in found.what
    (found,) = event_time("wall", p1=None)
    assert "[1] has told no event time for 60 s, nothing comes" in found.what


def test_a_replay_has_a_time_of_its_own():
    long_ago = NOW_MS - 10**10
    moving = Progress(long_ago - 60_000, long_ago, NOW_MS)
    assert event_time("replay", p0=moving, p1=moving) == []
    assert names(event_time("replay", p0=moving, p1=still(long_ago))) == ["event-time-still"]
    assert event_time("replay", p1=None) == []
    assert names(event_time("replay", lag=1, p1=None)) == ["event-time-still"]


def test_event_time_ahead_of_the_clock_is_a_wrong_clock():
    assert event_time("wall", p0=still(NOW_MS + KIND.skew_ms)) == []
    (found,) = event_time("wall", p0=still(NOW_MS + KIND.skew_ms + 1_000))
    assert (found.check, "[0] by" in found.what) == ("event-time-ahead", True)


def test_a_domain_without_a_processor_has_its_finding_elsewhere():
    assert event_time("wall", served=False, p0=None) == []


def test_processes_and_clocks():
    known = {"traffic": ServiceAddress("h:1"), "security": ServiceAddress("h:2")}
    told = {"traffic": ProcessFacts("serving", 0.4), "security": ProcessFacts("not_serving", None)}
    assert names(judge_processes(known, told)) == ["service-not-ready"]
    away = {"traffic": ProcessFacts("does not answer at h:1 (UNAVAILABLE)", None)}
    assert names(judge_processes(known, away)) == ["service-away"]
    assert list(judge_clocks({"traffic": 0.9, "ClickHouse": -4.9})) == []
    (found,) = judge_clocks({"traffic": 0.9, "ClickHouse": -61.0})
    assert (found.check, found.what) == ("clock-skew", "ClickHouse is 61 s behind this machine's clock")


def test_receivers_that_were_not_told():
    assert list(judge_receivers({})) == []
    (found,) = judge_receivers({"duty_officer": 3})
    assert (found.check, found.next) == ("undelivered", "urban undelivered list --receiver duty_officer")


def contradictions(**settings: Any) -> list[str]:
    return [finding.what for finding in judge_settings(Settings(**settings), DOMAINS)]


def test_the_defaults_and_those_of_the_manifests_contradict_nothing(monkeypatch):
    assert contradictions() == []
    for line in (ROOT / "deploy/k8s/base/settings.env").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            monkeypatch.setenv(name, value)
    assert contradictions() == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"silence_seconds": 60, "session_timeout_seconds": 45}, "URBAN_SILENCE_SECONDS=60 is less than"),
        ({"dead_letter_flood": "pass"}, "URBAN_DEAD_LETTER_FLOOD=pass"),
        ({"unknown_entities": {"trafic.parking": "refuse"}}, "names trafic.parking; the domains are"),
        ({"unknown_entities": {"traffic.cars": "refuse"}}, "'traffic.cars' is no kind of observation"),
        ({"time_zones": {"auckland": "Pacific/Nowhere"}}, "Pacific/Nowhere"),
        ({"programmes": {"auckland": "moon"}}, "auckland='moon'"),
        (
            {"receivers": {"duty_officer": "https://a"}, "receiver_secrets": {"duty_officer": "s"}},
            "has no address of ambulance, city_command",
        ),
    ],
)
def test_settings_that_contradict(settings, said):
    (found,) = contradictions(**settings)
    assert said in found


def test_settings_that_no_process_starts_with(monkeypatch):
    monkeypatch.setenv("URBAN_GRPC_PORT", "70000")
    found = read_settings()
    assert isinstance(found, Finding)
    assert (found.check, "URBAN_GRPC_PORT" in found.what) == ("settings-refused", True)
    monkeypatch.delenv("URBAN_GRPC_PORT")
    monkeypatch.setenv("URBAN_TIME_ZONES", "{")
    found = read_settings()
    assert isinstance(found, Finding)
    assert "time_zones" in found.what


def test_every_finding_has_a_paragraph_in_the_runbook():
    headings = {line[3:].lower() for line in (ROOT / RUNBOOK).read_text().splitlines() if line.startswith("## ")}
    lost = [check.name for check in CHECKS if check.runbook.partition("#")[2] not in headings]
    assert lost == []
    assert all(check.alert or check.do for check in CHECKS)
    assert len({check.name for check in CHECKS}) == len(CHECKS) > 25


def test_a_finding_says_everything_that_is_to_be_typed():
    found = checks.DEAD_LETTERS.found("x", domain="traffic", kind="parking", error_class="future")
    assert found.next == "urban dlq list --open --domain traffic --kind parking --class future --since 24h"
