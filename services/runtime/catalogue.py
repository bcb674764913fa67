"""The one catalogue of topics: name, partitions, retention, key, value, who writes and who reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from services.core.kind import DAY_MS, HOUR_MS, Domain

# Part of the contract: the partition of an entity is murmur2(entity id) modulo this, as Kafka's own default.
OBSERVATION_PARTITIONS = 4
# Correlation takes findings, not observations: one partition serves a city.
SIGNAL_PARTITIONS = 1

# What an open window was like is of no interest when it has closed; who comes back within it misses nothing.
EARLY_RETENTION_MS = HOUR_MS

# Panes of many entities are records of their own; a sketch of each entity is what may make one large.
CHECKPOINT_BYTES = 64 << 20
# A record that is put aside or told late is as large as it came, and has headers of ours beside its own.
RECORD_BYTES = 8 << 20
DEAD_LETTER_BYTES = LATE_BYTES = RECORD_BYTES + (1 << 20)

SIGNALS = "urban.signals.v1"
INCIDENTS = "urban.incidents.v1"
INCIDENT_ACTIONS = "urban.incident_actions.v1"
PLANNED_EVENTS = "urban.planned_events.v1"
FINDINGS = "urban.findings.v1"
NOTIFICATIONS = "urban.notifications.v1"
UNDELIVERED = "urban.undelivered.v1"
ENTITIES = "urban.entities.v1"
EXCHANGE = "urban.exchange.v1"
NEIGHBOUR_REPORTS = "urban.neighbour_reports.v1"
SHARED_INCIDENTS = "urban.shared_incidents.v1"


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
    largest_bytes: int = RECORD_BYTES  # of a record
    groups: tuple[str, ...] = ()  # of the readers, those that share its partitions out among their processes

    @property
    def configs(self) -> dict[str, str]:
        """The topic's own settings, as Kafka names them."""
        configs = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(self.retention_ms),
            "max.message.bytes": str(self.largest_bytes),
        }
        if self.compacted:
            # Checkpoints and entities are read whole at start: old versions are to go soon.
            configs |= {"segment.ms": "600000", "min.cleanable.dirty.ratio": "0.1"}
        elif 0 < self.retention_ms < DAY_MS:
            # Only whole segments are deleted, and by default one takes a week of records.
            configs |= {"segment.ms": str(self.retention_ms // 4)}
        return configs


def consumer_group(service: str, role: str) -> str:
    """The group in which the processes of a role share out partitions."""
    return f"urban.{service}.{role}"


def camel(name: str) -> str:
    """road_flow -> RoadFlow: from a kind's name to its protobuf message."""
    return "".join(part.capitalize() for part in name.split("_"))


def observations(domain: str, kind: str) -> str:
    return f"urban.{domain}.{kind}.v1"


def checkpoints(domain: str, kind: str) -> str:
    return f"urban.{domain}.{kind}.state.v1"


def windows(domain: str) -> str:
    return f"urban.{domain}.windows.v1"


def early_windows(domain: str) -> str:
    return f"urban.{domain}.windows.early.v1"


def late(domain: str) -> str:
    return f"urban.late.{domain}.v1"


def dead_letters(domain: str) -> str:
    return f"urban.deadletter.{domain}.v1"


def _kind_topics(domain: str, kind: str) -> Iterable[Topic]:
    api, processor, archiver = f"{domain}:api", f"{domain}:processor", f"{domain}:archiver"
    frame = f"urban.{domain}.v1.{camel(kind)}Frame"
    yield Topic(
        name=observations(domain, kind),
        partitions=OBSERVATION_PARTITIONS,
        retention_ms=7 * DAY_MS,
        compacted=False,
        key="entity id of the frame's first observation",
        value=frame,
        writers=(api,),
        readers=(processor, archiver),
        about=f"Observations of {kind}, in frames; JSON rows are taken too",
        groups=(processor, archiver),
    )
    yield Topic(
        name=checkpoints(domain, kind),
        partitions=OBSERVATION_PARTITIONS,
        retention_ms=-1,
        compacted=True,
        key="partition of the observation topic, its owner, and of a part its number",
        value="urban.common.v1.Checkpoint, and parts of it",
        writers=(processor,),
        readers=(processor,),
        about=f"State of the processor's partitions of {kind}",
        largest_bytes=CHECKPOINT_BYTES,
    )


def domain_topics(domain: Domain) -> tuple[Topic, ...]:
    """The topics of one domain, in the order of the way of the data."""
    processor = f"{domain.name}:processor"
    topics = [topic for kind in domain.kinds for topic in _kind_topics(domain.name, kind.name)]
    topics += [
        Topic(
            name=windows(domain.name),
            partitions=OBSERVATION_PARTITIONS,
            retention_ms=7 * DAY_MS,
            compacted=False,
            key="kind and partition of the observations",
            value="urban.common.v1.WindowFrame",
            writers=(processor,),
            readers=(f"{domain.name}:api",),
            about="Windows as they close or are revised",
        ),
        Topic(
            name=early_windows(domain.name),
            partitions=OBSERVATION_PARTITIONS,
            retention_ms=EARLY_RETENTION_MS,
            compacted=False,
            key="kind and partition of the observations",
            value="urban.common.v1.WindowFrame",
            writers=(processor,),
            readers=(f"{domain.name}:api",),
            about="Windows that are still open, as they stand",
        ),
        Topic(
            name=late(domain.name),
            partitions=1,
            retention_ms=30 * DAY_MS,
            compacted=False,
            key="entity id of the frame's first observation",
            value="frame of the observation's kind",
            writers=(processor,),
            readers=(),
            about="Observations beyond the allowed lateness",
            largest_bytes=LATE_BYTES,
        ),
        Topic(
            name=dead_letters(domain.name),
            partitions=1,
            retention_ms=30 * DAY_MS,
            compacted=False,
            key="as it came",
            value="as it came",
            writers=(processor,),
            readers=(),
            about="Records that were refused, untouched; the headers say why",
            largest_bytes=DEAD_LETTER_BYTES,
        ),
    ]
    return tuple(topics)


def shared_topics(domains: Iterable[Domain]) -> tuple[Topic, ...]:
    """The topics that all domains share."""
    names = [d.name for d in domains]
    every = {role: tuple(f"{name}:{role}" for name in names) for role in ("api", "processor", "archiver")}
    correlator, responder, api = "correlation:processor", "correlation:responder", "correlation:api"
    scanner, exchange = "correlation:scanner", "correlation:exchange"
    return (
        Topic(
            name=SIGNALS,
            partitions=SIGNAL_PARTITIONS,
            retention_ms=30 * DAY_MS,
            compacted=False,
            key="H3 cell (resolution 5) around the signal, or the reporting instance",
            value="urban.common.v1.SignalRecord",
            writers=every["processor"],
            readers=(*every["api"], correlator, scanner),
            about="What detectors find, and how far event time has come",
            groups=(correlator, scanner),
        ),
        Topic(
            name=checkpoints("correlation", "signals"),
            partitions=SIGNAL_PARTITIONS,
            retention_ms=-1,
            compacted=True,
            key="partition of the signal topic",
            value="urban.common.v1.Checkpoint",
            writers=(correlator,),
            readers=(correlator,),
            about="State of the correlation",
            largest_bytes=CHECKPOINT_BYTES,
        ),
        Topic(
            name=INCIDENTS,
            partitions=1,
            retention_ms=-1,
            compacted=True,
            key="incident id",
            value="urban.correlation.v1.Incident",
            writers=(correlator,),
            readers=(api, responder, exchange),
            groups=(responder, exchange),
            about="Incidents, each in its newest version",
        ),
        Topic(
            name=EXCHANGE,
            partitions=1,
            retention_ms=-1,
            compacted=True,
            key="city and incident id",
            value="urban.correlation.v1.SharedReport",
            writers=(exchange,),
            readers=(exchange,),
            about="What neighbour cities are told of incidents at the border, and may read here",
        ),
        Topic(
            name=NEIGHBOUR_REPORTS,
            partitions=1,
            retention_ms=-1,
            compacted=True,
            key="city and incident id",
            value="urban.correlation.v1.SharedReport",
            writers=(exchange,),
            readers=(exchange,),
            about="What neighbour cities have told, as it was heard",
        ),
        Topic(
            name=SHARED_INCIDENTS,
            partitions=1,
            retention_ms=-1,
            compacted=True,
            key="id of the shared incident",
            value="urban.correlation.v1.SharedIncident",
            writers=(exchange,),
            readers=(exchange,),
            about="What a neighbour city sees as well, each in its newest version",
        ),
        Topic(
            name=FINDINGS,
            partitions=1,
            retention_ms=-1,
            compacted=True,
            key="finding id",
            value="urban.correlation.v1.Finding",
            writers=(scanner,),
            readers=(api,),
            about="Clusters of signals that no rule asked for, each in its newest version",
        ),
        Topic(
            name=checkpoints("correlation", "findings"),
            partitions=SIGNAL_PARTITIONS,
            retention_ms=-1,
            compacted=True,
            key="partition of the signal topic",
            value="urban.common.v1.Checkpoint",
            writers=(scanner,),
            readers=(scanner,),
            about="State of the scans for clusters",
            largest_bytes=CHECKPOINT_BYTES,
        ),
        Topic(
            name=INCIDENT_ACTIONS,
            partitions=1,
            retention_ms=-1,
            compacted=False,
            key="incident id",
            value="urban.correlation.v1.IncidentAction",
            writers=(api,),
            readers=(correlator,),
            about="What people did with incidents",
        ),
        Topic(
            name=PLANNED_EVENTS,
            partitions=1,
            retention_ms=-1,
            compacted=True,
            key="name of the event",
            value="urban.correlation.v1.PlannedEvent",
            writers=(api,),
            readers=(correlator, api),
            about="What people know beforehand, and what explains incidents",
        ),
        Topic(
            name=NOTIFICATIONS,
            partitions=1,
            retention_ms=30 * DAY_MS,
            compacted=False,
            key="incident id",
            value="urban.correlation.v1.Notification",
            writers=(responder,),
            readers=(responder,),
            groups=(responder,),
            about="What the response plans tell to whom",
        ),
        Topic(
            name=UNDELIVERED,
            partitions=1,
            retention_ms=30 * DAY_MS,
            compacted=False,
            key="incident id",
            value="urban.correlation.v1.Notification",
            writers=(responder,),
            readers=(),
            about="Notifications that their receivers have not taken; the headers say why",
        ),
        *(
            Topic(
                name=checkpoints("correlation", kind),
                partitions=1,
                retention_ms=-1,
                compacted=True,
                key="partition of the topic",
                value="urban.common.v1.Checkpoint",
                writers=(responder,),
                readers=(responder,),
                about=about,
                largest_bytes=CHECKPOINT_BYTES,
            )
            for kind, about in (
                ("response", "State of the response plans"),
                ("delivery", "Notifications that are on their way to receivers"),
            )
        ),
        Topic(
            name=ENTITIES,
            partitions=1,
            retention_ms=-1,
            compacted=True,
            key="name of the entity",
            value="urban.common.v1.Entity",
            writers=every["api"],
            readers=(*every["api"], *every["processor"], *every["archiver"]),
            about="Sensors, segments, gates, cameras, zones",
        ),
    )


def catalogue(domains: Iterable[Domain]) -> tuple[Topic, ...]:
    """Every topic of a deployment with these domains."""
    domains = tuple(domains)
    return tuple(t for d in domains for t in domain_topics(d)) + shared_topics(domains)
