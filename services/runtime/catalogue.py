"""The one catalogue of topics: name, partitions, retention, key, value, who writes and who reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.core.kind import DAY_MS, Domain

# Part of the contract: the partition of an entity is murmur2(entity id) modulo this, as Kafka's own default.
OBSERVATION_PARTITIONS = 4
# Correlation takes findings, not observations: one partition serves a city.
SIGNAL_PARTITIONS = 1

SIGNALS = "urban.signals.v1"
INCIDENTS = "urban.incidents.v1"
INCIDENT_ACTIONS = "urban.incident_actions.v1"
ENTITIES = "urban.entities.v1"


@dataclass(frozen=True)
class Topic:
    """One topic as it is created, documented and guarded."""

    name: str
    partitions: int
    retention_ms: int  # -1: for ever
    compacted: bool
    key: str  # what the key is
    value: str  # full name of the protobuf message
    writers: tuple[str, ...]  # service:role
    readers: tuple[str, ...]
    about: str

    @property
    def configs(self) -> dict[str, str]:
        """The topic's own settings, as Kafka names them."""
        configs = {"cleanup.policy": "compact" if self.compacted else "delete", "retention.ms": str(self.retention_ms)}
        if self.compacted:
            # Checkpoints and entities are read whole at start: old versions are to go soon.
            configs |= {"segment.ms": "600000", "min.cleanable.dirty.ratio": "0.1"}
        return configs


def camel(name: str) -> str:
    """road_flow -> RoadFlow: from a kind's name to its protobuf message."""
    return "".join(part.capitalize() for part in name.split("_"))


def observations(domain: str, kind: str) -> str:
    return f"urban.{domain}.{kind}.v1"


def checkpoints(domain: str, kind: str) -> str:
    return f"urban.{domain}.{kind}.state.v1"


def windows(domain: str) -> str:
    return f"urban.{domain}.windows.v1"


def late(domain: str) -> str:
    return f"urban.late.{domain}.v1"


def dead_letters(domain: str) -> str:
    return f"urban.deadletter.{domain}.v1"


def _kind_topics(domain: str, kind: str) -> Iterable[Topic]:
    api, processor, archiver = f"{domain}:api", f"{domain}:processor", f"{domain}:archiver"
    frame = f"urban.{domain}.v1.{camel(kind)}Frame"
    yield Topic(
        observations(domain, kind),
        OBSERVATION_PARTITIONS,
        7 * DAY_MS,
        False,
        "entity id of the frame's first observation",
        frame,
        (api,),
        (processor, archiver),
        f"Observations of {kind}, in frames; JSON rows are taken too",
    )
    yield Topic(
        checkpoints(domain, kind),
        OBSERVATION_PARTITIONS,
        -1,
        True,
        "partition of the observation topic",
        "urban.common.v1.Checkpoint",
        (processor,),
        (processor,),
        f"State of the processor's partitions of {kind}",
    )


def domain_topics(domain: Domain) -> tuple[Topic, ...]:
    """The topics of one domain, in the order of the way of the data."""
    processor = f"{domain.name}:processor"
    topics = [topic for kind in domain.kinds for topic in _kind_topics(domain.name, kind.name)]
    topics += [
        Topic(
            windows(domain.name),
            OBSERVATION_PARTITIONS,
            7 * DAY_MS,
            False,
            "kind and partition of the observations",
            "urban.common.v1.WindowFrame",
            (processor,),
            (f"{domain.name}:api",),
            "Windows as they close or are revised",
        ),
        Topic(
            late(domain.name),
            1,
            30 * DAY_MS,
            False,
            "entity id of the frame's first observation",
            "frame of the observation's kind",
            (processor,),
            (),
            "Observations beyond the allowed lateness",
        ),
        Topic(
            dead_letters(domain.name),
            1,
            30 * DAY_MS,
            False,
            "as it came",
            "as it came",
            (processor,),
            (),
            "Records that were refused, untouched; the headers say why",
        ),
    ]
    return tuple(topics)


def shared_topics(domains: Iterable[Domain]) -> tuple[Topic, ...]:
    """The topics that all domains share."""
    names = [d.name for d in domains]
    every = {role: tuple(f"{name}:{role}" for name in names) for role in ("api", "processor", "archiver")}
    correlator, api = "correlation:processor", "correlation:api"
    return (
        Topic(
            SIGNALS,
            SIGNAL_PARTITIONS,
            30 * DAY_MS,
            False,
            "H3 cell (resolution 5) around the signal, or the reporting instance",
            "urban.common.v1.SignalRecord",
            every["processor"],
            (*every["api"], correlator),
            "Findings, and how far event time has come",
        ),
        Topic(
            checkpoints("correlation", "signals"),
            SIGNAL_PARTITIONS,
            -1,
            True,
            "partition of the signal topic",
            "urban.common.v1.Checkpoint",
            (correlator,),
            (correlator,),
            "State of the correlation",
        ),
        Topic(
            INCIDENTS,
            1,
            -1,
            True,
            "incident id",
            "urban.correlation.v1.Incident",
            (correlator,),
            (api,),
            "Incidents, each in its newest version",
        ),
        Topic(
            INCIDENT_ACTIONS,
            1,
            -1,
            False,
            "incident id",
            "urban.correlation.v1.IncidentAction",
            (api,),
            (correlator,),
            "What people did with incidents",
        ),
        Topic(
            ENTITIES,
            1,
            -1,
            True,
            "name of the entity",
            "urban.common.v1.Entity",
            every["api"],
            (*every["api"], *every["processor"], *every["archiver"]),
            "Sensors, segments, gates, cameras, zones",
        ),
    )


def catalogue(domains: Iterable[Domain]) -> tuple[Topic, ...]:
    """Every topic of a deployment with these domains."""
    domains = tuple(domains)
    return tuple(t for d in domains for t in domain_topics(d)) + shared_topics(domains)
