-- Observations of people counts as they came, and their windows.

CREATE TABLE IF NOT EXISTS people_count
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Sensor',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the time that was measured over',
    period_s        UInt32 CODEC(ZSTD) COMMENT 'Length of the time that was measured over, in s; 0: a moment',
    count           Float32 CODEC(ZSTD) COMMENT 'People counted',
    count_in        Float32 CODEC(ZSTD) COMMENT 'People counted inwards; NaN: not measured',
    count_out       Float32 CODEC(ZSTD) COMMENT 'People counted outwards; NaN: not measured',
    density_p_m2    Float32 CODEC(ZSTD) COMMENT 'Density in people per m²; NaN: not measured',
    confidence      Float32 CODEC(ZSTD) COMMENT 'Confidence, 0 to 1; NaN: not measured',
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
COMMENT 'Observations of people counts: each once, also where its frame came twice';

CREATE TABLE IF NOT EXISTS people_count_windows
(
    city              LowCardinality(String) COMMENT 'City',
    window            LowCardinality(String) COMMENT 'Window: 15m, 1h',
    entity_id         String CODEC(ZSTD) COMMENT 'Sensor',
    start_time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time          DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition   UInt32 COMMENT 'Partition of the observation topic',
    revision          UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    count_sum         Float64 CODEC(ZSTD) COMMENT 'People counted: sum; NaN: none',
    count_max         Float64 CODEC(ZSTD) COMMENT 'People counted: greatest; NaN: none',
    count_in_sum      Float64 CODEC(ZSTD) COMMENT 'People counted inwards: sum; NaN: none',
    count_out_sum     Float64 CODEC(ZSTD) COMMENT 'People counted outwards: sum; NaN: none',
    density_p_m2_mean Float64 CODEC(ZSTD) COMMENT 'Density in people per m²: mean; NaN: none',
    density_p_m2_max  Float64 CODEC(ZSTD) COMMENT 'Density in people per m²: greatest; NaN: none',
    confidence_min    Float64 CODEC(ZSTD) COMMENT 'Confidence, 0 to 1: least; NaN: none',
    confidence_mean   Float64 CODEC(ZSTD) COMMENT 'Confidence, 0 to 1: mean; NaN: none',
    stored_time       DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of people counts; an observation that came late makes another revision';
