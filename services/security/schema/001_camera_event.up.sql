-- Observations of camera events as they came, and their windows.

CREATE TABLE IF NOT EXISTS camera_event
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Camera',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the time that was measured over',
    period_s        UInt32 CODEC(ZSTD) COMMENT 'Length of the time that was measured over, in s; 0: a moment',
    topic           UInt32 CODEC(ZSTD) COMMENT 'What the camera tells: number of a CameraTopic',
    value           Float32 CODEC(ZSTD) COMMENT 'Figure of the event, as its topic defines it; NaN: not measured',
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
COMMENT 'Observations of camera events: each once, also where its frame came twice';

CREATE TABLE IF NOT EXISTS camera_event_windows
(
    city            LowCardinality(String) COMMENT 'City',
    window          LowCardinality(String) COMMENT 'Window: 1m',
    entity_id       String CODEC(ZSTD) COMMENT 'Camera',
    start_time      DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition UInt32 COMMENT 'Partition of the observation topic',
    revision        UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    value_count     Float64 CODEC(ZSTD) COMMENT 'Figure of the event, as its topic defines it: numbers present; NaN: none',
    value_max       Float64 CODEC(ZSTD) COMMENT 'Figure of the event, as its topic defines it: greatest; NaN: none',
    value_last      Float64 CODEC(ZSTD) COMMENT 'Figure of the event, as its topic defines it: of the latest observation; NaN: none',
    confidence_min  Float64 CODEC(ZSTD) COMMENT 'Confidence, 0 to 1: least; NaN: none',
    confidence_mean Float64 CODEC(ZSTD) COMMENT 'Confidence, 0 to 1: mean; NaN: none',
    stored_time     DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of camera events; an observation that came late makes another revision';
