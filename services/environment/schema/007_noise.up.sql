-- Observations of sound levels as they came, and their windows.

CREATE TABLE IF NOT EXISTS noise
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Sound level meter',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the time that was measured over',
    period_s        UInt32 CODEC(ZSTD) COMMENT 'Length of the time that was measured over, in s; 0: a moment',
    laeq_db         Float32 CODEC(ZSTD) COMMENT 'Equivalent level of the time that was measured over in dB(A); NaN: not measured',
    lamax_db        Float32 CODEC(ZSTD) COMMENT 'Greatest level in that time in dB(A); NaN: not measured',
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
COMMENT 'Observations of sound levels: each once, also where its frame came twice';

CREATE TABLE IF NOT EXISTS noise_windows
(
    city            LowCardinality(String) COMMENT 'City',
    window          LowCardinality(String) COMMENT 'Window: 1h',
    entity_id       String CODEC(ZSTD) COMMENT 'Sound level meter',
    start_time      DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition UInt32 COMMENT 'Partition of the observation topic',
    revision        UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    laeq_db_count   Float64 CODEC(ZSTD) COMMENT 'Equivalent level of the time that was measured over in dB(A): numbers present',
    laeq_db_min     Float64 CODEC(ZSTD) COMMENT 'Equivalent level of the time that was measured over in dB(A): least; NaN: none',
    laeq_db_max     Float64 CODEC(ZSTD) COMMENT 'Equivalent level of the time that was measured over in dB(A): greatest; NaN: none',
    laeq_db_p10     Float64 CODEC(ZSTD) COMMENT 'Equivalent level of the time that was measured over in dB(A): exceeded by 90 % of the numbers, within 1/128; NaN: none',
    laeq_db_p50     Float64 CODEC(ZSTD) COMMENT 'Equivalent level of the time that was measured over in dB(A): exceeded by 50 % of the numbers, within 1/128; NaN: none',
    laeq_db_p90     Float64 CODEC(ZSTD) COMMENT 'Equivalent level of the time that was measured over in dB(A): exceeded by 10 % of the numbers, within 1/128; NaN: none',
    lamax_db_max    Float64 CODEC(ZSTD) COMMENT 'Greatest level in that time in dB(A): greatest; NaN: none',
    stored_time     DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of sound levels; an observation that came late makes another revision';
