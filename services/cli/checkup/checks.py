"""Everything that `urban doctor` may find, in one table; the runbook has a paragraph for each."""

from __future__ import annotations

from services.cli.checkup.finding import Check, Severity

_W, _C = Severity.WARNING, Severity.CRITICAL

SETTINGS_REFUSED = Check(
    "settings-refused",
    _C,
    "No process starts with these settings.",
    "env | grep ^URBAN_",
    "Correct the variable that is named; every setting and its bounds stand in services/runtime/settings.py.",
)
SETTINGS_CONTRADICT = Check(
    "settings-contradict",
    _W,
    "Each setting may be right by itself; together they do something that nobody wants.",
    "env | grep ^URBAN_",
    "Change one of the two that are named, for all processes, and restart them.",
)
KAFKA_UNREACHABLE = Check(
    "kafka-unreachable",
    _C,
    "Kafka is the log: nothing comes in, and every result stands still. Nothing is lost, callers repeat.",
    "urban status",
    alert="UrbanNotReady",
)
TOPIC_MISSING = Check(
    "topic-missing",
    _C,
    "What is to be written there is refused, and whoever reads it waits.",
    "python -m services.{service} {role}",
    "Every service makes its own topics when it starts: start it, and read its log where it does not."
    " With Strimzi's topic operator: `kubectl -n urban get kafkatopics`.",
)
TOPIC_PARTITIONS = Check(
    "topic-partitions",
    _C,
    "The number of partitions is a part of the contract: with another one an entity's observations lie elsewhere,"
    " and no service starts.",
    "urban topics",
    "Stop who writes, make the topic anew with the number of the catalogue, and start again; partitions can be added to"
    " a topic, but never taken away.",
)
TOPIC_SETTINGS = Check(
    "topic-settings",
    _W,
    "A shorter retention loses what a worker that is behind has still to read; a wrong cleanup policy loses"
    " checkpoints, or keeps everything.",
    "kafka-configs.sh --bootstrap-server {kafka} --alter --topic {topic} --add-config {config}",
    "Set it as the catalogue says (`urban topics`), or change the catalogue where the city wants another one.",
)
TOPIC_NOT_DURABLE = Check(
    "topic-not-durable",
    _W,
    "What is acknowledged may lie on one broker alone, and is lost with it.",
    "kafka-configs.sh --bootstrap-server {kafka} --alter --topic {topic} --add-config min.insync.replicas=2",
    "Three replicas of which two must have a record before it is acknowledged"
    " (`default.replication.factor=3`, `min.insync.replicas=2` of the brokers); with one broker there is no choice.",
)
PARTITION_UNAVAILABLE = Check(
    "partition-unavailable",
    _C,
    "Nobody can write there, until enough brokers are back.",
    "kafka-topics.sh --bootstrap-server {kafka} --describe --unavailable-partitions",
    "Bring the brokers back that are away. Never let a replica lead that was not in sync: that loses what was"
    " acknowledged.",
)
PARTITION_UNDER_REPLICATED = Check(
    "partition-under-replicated",
    _W,
    "One more broker that dies stops writing there.",
    "kafka-topics.sh --bootstrap-server {kafka} --describe --under-replicated-partitions",
    "Look for the broker that is away or too slow; it catches up by itself when it is back.",
)
GROUP_EMPTY = Check(
    "group-empty",
    _C,
    "Nobody does the work of this role. A processor: windows, signals and so incidents stand still. An archiver:"
    " raw observations wait in Kafka, which keeps them for 7 days.",
    "python -m services.{service} {role}",
    alert="UrbanRoleAbsent",
)
GROUP_BEHIND = Check(
    "group-behind",
    _W,
    "Results come late by what was not read yet.",
    "kafka-consumer-groups.sh --bootstrap-server {kafka} --describe --group {group}",
    alert="UrbanEventTimeBehind",
)
ARCHIVER_BEHIND = Check(
    "archiver-behind",
    _W,
    "Raw observations are missing in ClickHouse until it has caught up; Kafka keeps them for 7 days.",
    "kafka-consumer-groups.sh --bootstrap-server {kafka} --describe --group {group}",
    alert="UrbanArchiverBehind",
)
GROUP_BEYOND_LOG = Check(
    "group-beyond-log",
    _C,
    "The group has read what the log no longer holds, or never held: the log was lost or made anew. The worker stops"
    " at that instead of passing over it.",
    "kafka-consumer-groups.sh --bootstrap-server {kafka} --describe --group {group}",
    "Find out what became of the log. Where it is gone for good: wipe the topic of checkpoints as well, and let the"
    " group begin with the log (`--reset-offsets --to-earliest`); results of what was lost stay as they are.",
)
SERVICE_AWAY = Check(
    "service-away",
    _C,
    "Its callers are turned away, and its work is not done.",
    "python -m services.{service} all",
    alert="UrbanRoleAbsent",
)
SERVICE_NOT_READY = Check(
    "service-not-ready",
    _C,
    "The process lives and what it needs does not answer. It waits and loses nothing.",
    "urban status",
    alert="UrbanNotReady",
)
EVENT_TIME_STILL = Check(
    "event-time-still",
    _C,
    "Windows of these partitions do not close, and no signal comes of them; the correlation waits for them for a"
    " while, and calls them unknown after that.",
    "urban status",
    alert="UrbanEventTimeBehind",
)
EVENT_TIME_AHEAD = Check(
    "event-time-ahead",
    _C,
    "What comes with a right clock is late there: it is kept aside, and in no window.",
    "urban status",
    "Find who writes with a clock that is ahead: an api's host (its heartbeats carry its clock), or a bridge that"
    " writes to the topic itself. Set it right; event time never goes back, so the partition waits until the clock"
    " has come to where it is.",
)
CLOCK_SKEW = Check(
    "clock-skew",
    _W,
    "Observations of a right clock look late or from the future to a wrong one, and ages tell nothing.",
    "chronyc tracking",
    "Let every host follow a time server (chrony, systemd-timesyncd), and look at it again after a minute.",
)
CLICKHOUSE_UNREACHABLE = Check(
    "clickhouse-unreachable",
    _C,
    "Rows wait in bounded memory, and nothing is produced before its rows are stored: results stand still.",
    "curl {clickhouse}/ping",
    alert="UrbanClickHouseAway",
)
MIGRATIONS_PENDING = Check(
    "migrations-pending",
    _W,
    "Services that need these tables wait for them, and analysts lack views.",
    "urban migrate",
    "Each service brings its own database up to date when it starts; `urban migrate` makes all of them and the views.",
)
MIGRATIONS_CHANGED = Check(
    "migrations-changed",
    _C,
    "The tables are not what this version believes: inserts may be refused, or columns missing.",
    "urban migrate status",
    "Compare the files of services/*/schema with those of the version that applied them, and write a new migration"
    " instead of changing one.",
)
DISK_FULL = Check(
    "disk-full",
    _C,
    "ClickHouse refuses inserts and merges without room, and results stand still.",
    'urban sql "SELECT database, table, formatReadableSize(sum(bytes_on_disk)) FROM system.parts WHERE active'
    ' GROUP BY ALL ORDER BY sum(bytes_on_disk) DESC LIMIT 10"',
    "Enlarge the disk. What may go first: raw observations, whose TTL stands in services/*/schema.",
)
DISK_FILLING = Check("disk-filling", _W, "It will be full one day.", DISK_FULL.next, DISK_FULL.do)
PARTS_MANY = Check(
    "parts-many",
    _W,
    "Merges do not keep up with inserts; at parts_to_delay_insert ClickHouse slows inserts down, and at"
    " parts_to_throw_insert it refuses them.",
    'urban sql "SELECT * FROM system.merges"',
    alert="UrbanBackpressure",
)
TABLE_READ_ONLY = Check(
    "table-read-only",
    _C,
    "A replica that has lost its keeper takes no rows: its writers wait.",
    'urban sql "SELECT database, table, zookeeper_exception FROM system.replicas WHERE is_readonly"',
    "Bring the keeper back; then `SYSTEM RESTORE REPLICA`, where the metadata were lost.",
)
MUTATION_STUCK = Check(
    "mutation-stuck",
    _W,
    "A change of a table does not come to its end, and is tried again and again.",
    'urban sql "SELECT database, table, command, latest_fail_reason FROM system.mutations WHERE NOT is_done"',
    "Mend what the reason says, or `KILL MUTATION`.",
)
LEDGER_DIFFERENCE = Check(
    "ledger-difference",
    _C,
    "Observations were read, and are neither folded, duplicate, late nor dead-lettered: a fault in the code.",
    'urban sql "SELECT * FROM urban.v_ledger WHERE difference != 0"',
    alert="UrbanLedgerDifference",
)
ARCHIVE_DIFFERENCE = Check(
    "archive-difference",
    _C,
    "ClickHouse holds fewer or more raw observations than the processor read up to the same offset.",
    'urban sql "SELECT * FROM urban.v_ledger WHERE archive_difference != 0"',
    alert="UrbanArchiveDifference",
)
DEAD_LETTERS = Check(
    "dead-letters",
    _W,
    "These observations are in no window until somebody mends what is wrong and sends them again.",
    "urban dlq list --open --domain {domain} --kind {kind} --class {error_class} --since 24h",
    alert="UrbanManyDeadLetters",
)
DEAD_LETTER_FLOOD = Check(
    "dead-letter-flood",
    _C,
    "The worker has stopped there, or is about to: it does not go on by itself, so that the dead letters are not filled"
    " with what somebody sends by mistake.",
    "urban dlq list --domain {domain} --kind {kind} --limit 5",
    alert="UrbanDeadLetterFlood",
)
QUARANTINE = Check(
    "quarantine",
    _W,
    "They are of entities that nobody told of, and get in when somebody has.",
    "urban entities import {domain} FILE && urban dlq replay --class unknown --domain {domain}",
    "`urban dlq show` names the entities. Import those that are the city's own, then send the letters again; strangers"
    " stay where they are.",
)
UNDELIVERED = Check(
    "undelivered",
    _C,
    "Somebody was to be told of an incident and was not.",
    "urban undelivered list --receiver {receiver}",
    alert="UrbanNotificationsUndelivered",
)
NOT_LOOKED_AT = Check(
    "not-looked-at",
    _W,
    "What was not looked at may be wrong as well.",
    "urban doctor",
    "The reason stands in the finding: mend that, and look again.",
)

CHECKS = tuple(sorted((c for c in vars().values() if isinstance(c, Check)), key=lambda c: c.name))
