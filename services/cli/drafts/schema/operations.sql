-- What {domain} found, what it is about, what became of every observation, and what was refused.

CREATE TABLE IF NOT EXISTS signals
(
    id               UUID COMMENT 'The same finding has the same id on every run',
    city             LowCardinality(String) COMMENT 'City',
    kind             LowCardinality(String) COMMENT 'Kind of the observations',
    type             LowCardinality(String) COMMENT 'What was found: the name of the detector',
    entity_id        String COMMENT 'What it is about',
    window           LowCardinality(String) COMMENT 'Name of the window',
    start_time       DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the window, inclusive',
    end_time         DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End of the window, exclusive',
    state            LowCardinality(String) COMMENT 'raised, or retracted by a late observation',
    severity         LowCardinality(String) COMMENT 'minor, moderate, severe or extreme, after CAP 1.2',
    score            Float64 COMMENT 'How far beyond the threshold, 0 (just) to 1',
    latitude         Float64 COMMENT 'Degrees north; NaN: not known',
    longitude        Float64 COMMENT 'Degrees east; NaN: not known',
    h3_cell          UInt64 COMMENT 'H3 cell of resolution 9; 0: not known',
    evidence         Array(Tuple(measure String, value Float64, threshold Float64, expected Float64)) COMMENT 'The figures behind it; NaN: none',
    revision         UInt32 COMMENT 'Number of observations weighed: in its window and in all that its detector looks back at; the row with the greatest is the final one',
    detector_version LowCardinality(String) COMMENT 'Version of the detector',
    model            LowCardinality(String) COMMENT 'What normal was computed from; empty: no model',
    attributes       Map(LowCardinality(String), String) COMMENT 'What was known of the entity out of its labels: road, line, road_m and line_m (metres along it), building, cabinet, district',
    version          UInt64 MATERIALIZED toUInt64(revision) * 2 + (state = 'retracted') COMMENT 'The row with the greatest is the final one',
    stored_time      DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, type, entity_id, start_time, id)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Signals of {domain}, in every revision';

CREATE TABLE IF NOT EXISTS entities
(
    city         LowCardinality(String) COMMENT 'City',
    entity_id    String COMMENT 'Entity id, as observations carry it',
    type         LowCardinality(String) COMMENT 'What it is, in the words of its domain',
    display_name String COMMENT 'For people to read',
    latitude     Float64 COMMENT 'Degrees north; NaN: not known',
    longitude    Float64 COMMENT 'Degrees east; NaN: not known',
    h3_cell      UInt64 COMMENT 'H3 cell of resolution 9; 0: not known',
    numbers      Map(LowCardinality(String), Float64) COMMENT 'Facts in numbers; the name carries the unit',
    labels       Map(LowCardinality(String), String) COMMENT 'Facts in words',
    update_time  DateTime64(3, 'UTC') COMMENT 'When this version was accepted, by wall clock'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(update_time)
ORDER BY (city, entity_id)
COMMENT 'Entities in their versions';

CREATE TABLE IF NOT EXISTS ledger
(
    kind            LowCardinality(String) COMMENT 'Kind of the observations',
    topic           LowCardinality(String) COMMENT 'Topic of the observations',
    kafka_partition UInt32 COMMENT 'Partition',
    next_offset     Int64 COMMENT 'Counted up to here, exclusive',
    read            UInt64 COMMENT 'Observations read; a record that cannot be decoded counts as one',
    folded          UInt64 COMMENT 'Folded into windows',
    duplicate       UInt64 COMMENT 'Of frames that were folded before',
    late            UInt64 COMMENT 'Beyond the allowed lateness: on the late topic',
    dead_lettered   UInt64 COMMENT 'Not valid, from the future or not to be decoded: on the dead-letter topic'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(next_offset)
ORDER BY (topic, kafka_partition)
COMMENT 'read = folded + duplicate + late + dead_lettered, at every checkpoint';

CREATE TABLE IF NOT EXISTS dead_letters
(
    kind            LowCardinality(String) COMMENT 'Kind of the observations',
    topic           LowCardinality(String) COMMENT 'Topic that the record came from',
    kafka_partition UInt32 COMMENT 'Partition',
    kafka_offset    Int64 COMMENT 'Offset; the raw record is on the dead-letter topic',
    kafka_time      DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Time of the record in Kafka',
    error_class     LowCardinality(String) COMMENT 'malformed, invalid, future, unknown (nobody told of the entity) or limit (one entity too many)',
    error           String COMMENT 'Field, value and reason of the first observation refused',
    observations    UInt32 COMMENT 'Observations refused in this record',
    indices         Array(UInt32) COMMENT 'Their indices in the record, the first 100',
    size_bytes      UInt32 COMMENT 'Size of the record''s value',
    stored_time     DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
PARTITION BY toYYYYMM(kafka_time)
ORDER BY (topic, kafka_partition, kafka_offset)
TTL stored_time + INTERVAL 90 DAY
COMMENT 'Records that were refused in whole or in part';

CREATE TABLE IF NOT EXISTS archive_ledger
(
    kind            LowCardinality(String) COMMENT 'Kind of the observations',
    topic           LowCardinality(String) COMMENT 'Topic of the observations',
    kafka_partition UInt32 COMMENT 'Partition',
    next_offset     Int64 COMMENT 'Stored up to here, exclusive',
    read            UInt64 COMMENT 'Observations read, as the processor counts them; those of a record that was read again count once',
    archived        UInt64 COMMENT 'Observations stored: all but those that a processor refuses as malformed, invalid or future',
    from_start      Bool COMMENT 'Counted from the first record of the log; otherwise there is nothing to compare with',
    compared_offset Int64 COMMENT 'A checkpoint of the processor: both had counted up to here, exclusive, when they were compared; -1: not yet',
    difference      Int64 COMMENT 'At that offset: observations that the processor read and the archiver did not, or else that it should have stored'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(next_offset)
ORDER BY (topic, kafka_partition)
COMMENT 'Books of the archiver by partition, written after the observations that they count';

CREATE TABLE IF NOT EXISTS dead_letter_replays
(
    topic           LowCardinality(String) COMMENT 'Topic that the record came from, and that its observations went to again',
    kafka_partition UInt32 COMMENT 'Partition of both',
    kafka_offset    Int64 COMMENT 'Offset of the record that was refused',
    replay_offset   Int64 COMMENT 'Offset of the first frame that was sent for it',
    observations    UInt32 COMMENT 'Observations sent; what was refused again is a dead letter of its own',
    replayed_time   DateTime64(3, 'UTC') COMMENT 'When, by the clock of who sent it'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(replayed_time)
ORDER BY (topic, kafka_partition, kafka_offset)
TTL toDateTime(replayed_time) + INTERVAL 90 DAY
COMMENT 'Dead letters whose observations were sent again (urban dlq replay); a letter that is sent twice is folded once';
