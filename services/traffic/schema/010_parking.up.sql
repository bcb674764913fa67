-- Vehicles in garages and car parks, and their windows.

CREATE TABLE IF NOT EXISTS parking
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Garage or car park',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'When vehicles were counted',
    period_s        UInt32 CODEC(ZSTD) COMMENT 'Length of the time that was counted over, in s; 0: a moment',
    vehicles        Float32 CODEC(ZSTD) COMMENT 'Vehicles inside, as told: it may be above the spaces',
    spaces          Float32 CODEC(ZSTD) COMMENT 'Spaces that there are, taken or free; NaN: not told',
    source_id       LowCardinality(String) COMMENT 'Who made the frame; empty: not told',
    sequence        UInt64 CODEC(ZSTD) COMMENT 'Number of the frame at its source; 0: not numbered',
    kafka_partition UInt32 COMMENT 'Partition of the observation topic',
    kafka_offset    Int64 CODEC(Delta, ZSTD) COMMENT 'Offset of the record in its partition',
    kafka_index     UInt32 COMMENT 'Index of the observation in its record',
    stored_time     DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (city, entity_id, time, kafka_partition, kafka_offset, kafka_index)
TTL stored_time + INTERVAL 90 DAY
COMMENT 'Vehicles in garages: each count once, also where its frame came twice';

CREATE TABLE IF NOT EXISTS parking_windows
(
    city            LowCardinality(String) COMMENT 'City',
    window          LowCardinality(String) COMMENT 'Window: 15m, 1h',
    entity_id       String CODEC(ZSTD) COMMENT 'Garage or car park',
    start_time      DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition UInt32 COMMENT 'Partition of the observation topic',
    revision        UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    vehicles_count  Float64 CODEC(ZSTD) COMMENT 'Vehicles inside: counts present',
    vehicles_mean   Float64 CODEC(ZSTD) COMMENT 'Vehicles inside: mean; NaN: none',
    vehicles_min    Float64 CODEC(ZSTD) COMMENT 'Vehicles inside: least; NaN: none',
    vehicles_max    Float64 CODEC(ZSTD) COMMENT 'Vehicles inside: greatest; NaN: none',
    vehicles_last   Float64 CODEC(ZSTD) COMMENT 'Vehicles inside: of the last count; NaN: none',
    spaces_max      Float64 CODEC(ZSTD) COMMENT 'Spaces that there are: most; NaN: not told',
    spaces_last     Float64 CODEC(ZSTD) COMMENT 'Spaces that there are: as told last; NaN: not told',
    stored_time     DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of vehicles in garages; one that came late makes another revision';
