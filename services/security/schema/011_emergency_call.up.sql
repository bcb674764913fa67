-- Emergency calls and the times of help as they came, and their windows. Where it was is erased before the call is.

CREATE TABLE IF NOT EXISTS emergency_call
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Service and area, with : between them',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Moment of the event',
    period_s        UInt32 CODEC(ZSTD) COMMENT '0: a moment',
    calls           Float32 CODEC(ZSTD) COMMENT 'Calls at this time; NaN: none',
    nature          UInt32 CODEC(ZSTD) COMMENT 'What the call is about: number of an EmergencyNature; 0: not told',
    dispatch_s      Float32 CODEC(ZSTD) COMMENT 'Help is sent at this time, so many s after the call; NaN: it is not',
    arrival_s       Float32 CODEC(ZSTD) COMMENT 'Help arrives at this time, so many s after it was sent; NaN: it does not',
    response_s      Float32 CODEC(ZSTD) COMMENT 'Help arrives at this time, so many s after the call; NaN: it does not',
    latitude        Float64 DEFAULT nan CODEC(ZSTD) TTL stored_time + INTERVAL 21 DAY COMMENT 'Degrees north of the emergency; NaN: not known, or erased after 21 days',
    longitude       Float64 DEFAULT nan CODEC(ZSTD) TTL stored_time + INTERVAL 21 DAY COMMENT 'Degrees east of the emergency; NaN: not known, or erased after 21 days',
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
COMMENT 'Observations of emergency calls, each place of the log once; of a frame that was sent twice, both places (not for analysts)';

CREATE TABLE IF NOT EXISTS emergency_call_windows
(
    city              LowCardinality(String) COMMENT 'City',
    window            LowCardinality(String) COMMENT 'Window: 1h',
    entity_id         String CODEC(ZSTD) COMMENT 'Service and area, with : between them',
    start_time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time          DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition   UInt32 COMMENT 'Partition of the observation topic',
    revision          UInt32 CODEC(ZSTD) COMMENT 'Number of observations weighed: those of the window and of the quarter of an hour before it; the row with the greatest is the final one',
    calls_sum         Float64 CODEC(ZSTD) COMMENT 'Calls: sum; NaN: none',
    nature_top1       Float64 CODEC(ZSTD) COMMENT 'Most frequent nature: number of a EmergencyNature, of equally frequent ones the smallest; NaN: none',
    nature_top1_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent nature; 0: none',
    nature_top2       Float64 CODEC(ZSTD) COMMENT 'Second most frequent nature: number of a EmergencyNature; NaN: none',
    nature_top2_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the second most frequent nature; 0: none',
    nature_top3       Float64 CODEC(ZSTD) COMMENT 'Third most frequent nature: number of a EmergencyNature; NaN: none',
    nature_top3_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the third most frequent nature; 0: none',
    dispatch_s_count  Float64 CODEC(ZSTD) COMMENT 'Time from call to dispatch: how often it was told',
    dispatch_s_p50    Float64 CODEC(ZSTD) COMMENT 'Time from call to dispatch in s: median, within 1/128; NaN: none',
    dispatch_s_p90    Float64 CODEC(ZSTD) COMMENT 'Time from call to dispatch in s: 90th percentile, within 1/128; NaN: none',
    arrival_s_count   Float64 CODEC(ZSTD) COMMENT 'Time from dispatch to arrival: how often it was told',
    arrival_s_p50     Float64 CODEC(ZSTD) COMMENT 'Time from dispatch to arrival in s: median, within 1/128; NaN: none',
    arrival_s_p90     Float64 CODEC(ZSTD) COMMENT 'Time from dispatch to arrival in s: 90th percentile, within 1/128; NaN: none',
    response_s_count  Float64 CODEC(ZSTD) COMMENT 'Time from call to arrival: how often it was told',
    response_s_p50    Float64 CODEC(ZSTD) COMMENT 'Time from call to arrival in s: median, within 1/128; NaN: none',
    response_s_p90    Float64 CODEC(ZSTD) COMMENT 'Time from call to arrival in s: 90th percentile, within 1/128; NaN: none',
    case_count        Float64 CODEC(ZSTD) COMMENT 'Emergencies: calls near to no earlier one of the same nature in time and place; NaN: too many calls to know',
    stored_time       DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of emergency calls; an observation that came late makes another revision';
