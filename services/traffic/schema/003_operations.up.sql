-- What traffic is about, what became of every observation, and what was refused.

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
    error_class     LowCardinality(String) COMMENT 'malformed, invalid or future',
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
