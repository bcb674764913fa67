-- What became of the requests of citizens as it came, and its windows.

CREATE TABLE IF NOT EXISTS service_request
(
    city                 LowCardinality(String) COMMENT 'City',
    entity_id            String CODEC(ZSTD) COMMENT 'Category and area, with : between them',
    time                 DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Moment of the event',
    period_s             UInt32 CODEC(ZSTD) COMMENT '0: a moment',
    opened               Float32 CODEC(ZSTD) COMMENT 'Requests opened at this time; NaN: none',
    acknowledged_after_s Float32 CODEC(ZSTD) COMMENT 'Taken up at this time, and opened so many s ago; NaN: it is not',
    resolved_after_s     Float32 CODEC(ZSTD) COMMENT 'Resolved at this time, and opened so many s ago; NaN: it is not',
    satisfaction         Float32 CODEC(ZSTD) COMMENT 'How satisfied the citizen is, 1 (not at all) to 5; NaN: not told',
    latitude             Float64 CODEC(ZSTD) COMMENT 'Degrees north; NaN: not told',
    longitude            Float64 CODEC(ZSTD) COMMENT 'Degrees east; NaN: not told',
    request_a            Float64 CODEC(ZSTD) COMMENT 'First 52 bits of the SHA-256 of what the request is known by, plus 2^52',
    request_b            Float64 CODEC(ZSTD) COMMENT 'Next 52 bits of the SHA-256 of what the request is known by, plus 2^52',
    source_id            LowCardinality(String) COMMENT 'Who made the frame; empty: not told',
    sequence             UInt64 CODEC(ZSTD) COMMENT 'Number of the frame at its source; 0: not numbered',
    kafka_partition      UInt32 COMMENT 'Partition of the observation topic',
    kafka_offset         Int64 CODEC(Delta, ZSTD) COMMENT 'Offset of the record in its partition',
    kafka_index          UInt32 COMMENT 'Index of the observation in its record',
    stored_time          DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (city, entity_id, time, kafka_partition, kafka_offset, kafka_index)
TTL stored_time + INTERVAL 90 DAY
COMMENT 'Observations of service requests, each place of the log once; of a frame that was sent twice, both places';

CREATE TABLE IF NOT EXISTS service_request_windows
(
    city                       LowCardinality(String) COMMENT 'City',
    window                     LowCardinality(String) COMMENT 'Window: 24h',
    entity_id                  String CODEC(ZSTD) COMMENT 'Category and area, with : between them',
    start_time                 DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time                   DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition            UInt32 COMMENT 'Partition of the observation topic',
    revision                   UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    opened_sum                 Float64 CODEC(ZSTD) COMMENT 'Requests opened: sum; NaN: none',
    acknowledged_after_s_count Float64 CODEC(ZSTD) COMMENT 'Requests taken up',
    acknowledged_after_s_p50   Float64 CODEC(ZSTD) COMMENT 'Time from opening until it was taken up in s: median, within 1/128; NaN: none',
    acknowledged_after_s_p90   Float64 CODEC(ZSTD) COMMENT 'Time from opening until it was taken up in s: 90th percentile, within 1/128; NaN: none',
    resolved_after_s_count     Float64 CODEC(ZSTD) COMMENT 'Requests resolved',
    resolved_after_s_p50       Float64 CODEC(ZSTD) COMMENT 'Time from opening until it was resolved in s: median, within 1/128; NaN: none',
    resolved_after_s_p90       Float64 CODEC(ZSTD) COMMENT 'Time from opening until it was resolved in s: 90th percentile, within 1/128; NaN: none',
    satisfaction_count         Float64 CODEC(ZSTD) COMMENT 'Citizens who said how satisfied they are',
    satisfaction_mean          Float64 CODEC(ZSTD) COMMENT 'How satisfied they are, 1 to 5: mean; NaN: none',
    stored_time                DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of service requests; an observation that came late makes another revision';
