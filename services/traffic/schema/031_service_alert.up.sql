-- Alerts of operators where they stood, and their windows.

CREATE TABLE IF NOT EXISTS service_alert
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Stop, line, network or trip that the alert is about',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'A moment at which the alert stood',
    period_s        UInt32 CODEC(ZSTD) COMMENT 'Length of the time that is told of, in s; 0: a moment',
    alert           Float64 CODEC(ZSTD) COMMENT 'Which alert: first 52 bits of the SHA-256 of the id that the operator gave it, plus 2^52',
    scope           UInt32 CODEC(ZSTD) COMMENT 'What the alert was told of: number of a ServiceAlertScope',
    effect          UInt32 CODEC(ZSTD) COMMENT 'What it does to passengers: number of a ServiceAlertEffect',
    cause           UInt32 CODEC(ZSTD) COMMENT 'Why: number of a ServiceAlertCause; 0: not told',
    level           UInt32 CODEC(ZSTD) COMMENT 'How grave the operator calls it: number of a ServiceAlertLevel; 0: not told',
    from_s          Float64 CODEC(ZSTD) COMMENT 'Start of the period in force, as announced, in s since 1970; NaN: not told',
    until_s         Float64 CODEC(ZSTD) COMMENT 'End of the period in force, as announced, in s since 1970; NaN: not told',
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
COMMENT 'Alerts of operators at moments at which they stood, each place of the log once; of a frame that was sent twice, both places';

CREATE TABLE IF NOT EXISTS service_alert_windows
(
    city               LowCardinality(String) COMMENT 'City',
    window             LowCardinality(String) COMMENT 'Window: 5m',
    entity_id          String CODEC(ZSTD) COMMENT 'Stop, line, network or trip that the alert is about',
    start_time         DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time           DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition    UInt32 COMMENT 'Partition of the observation topic',
    revision           UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    alert_count        Float64 CODEC(ZSTD) COMMENT 'Observations of alerts',
    alert_distinct     Float64 CODEC(ZSTD) COMMENT 'Number of different alerts, within a relative standard error of 1.63 %; 0: none',
    scope_top1         Float64 CODEC(ZSTD) COMMENT 'Most frequent ServiceAlertScope, of equally frequent ones the smallest; NaN: none',
    scope_top1_count   Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent one; 0: none',
    effect_top1        Float64 CODEC(ZSTD) COMMENT 'Most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top1_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent one; 0: none',
    effect_top2        Float64 CODEC(ZSTD) COMMENT 'Second most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top2_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the second most frequent one; 0: none',
    effect_top3        Float64 CODEC(ZSTD) COMMENT 'Third most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top3_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the third most frequent one; 0: none',
    effect_top4        Float64 CODEC(ZSTD) COMMENT 'Fourth most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top4_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fourth most frequent one; 0: none',
    effect_top5        Float64 CODEC(ZSTD) COMMENT 'Fifth most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top5_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fifth most frequent one; 0: none',
    effect_top6        Float64 CODEC(ZSTD) COMMENT '6th most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top6_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the 6th most frequent one; 0: none',
    effect_top7        Float64 CODEC(ZSTD) COMMENT '7th most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top7_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the 7th most frequent one; 0: none',
    effect_top8        Float64 CODEC(ZSTD) COMMENT '8th most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top8_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the 8th most frequent one; 0: none',
    effect_top9        Float64 CODEC(ZSTD) COMMENT '9th most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top9_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the 9th most frequent one; 0: none',
    effect_top10       Float64 CODEC(ZSTD) COMMENT '10th most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top10_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the 10th most frequent one; 0: none',
    effect_top11       Float64 CODEC(ZSTD) COMMENT '11th most frequent ServiceAlertEffect, of equally frequent ones the smallest; NaN: none',
    effect_top11_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the 11th most frequent one; 0: none',
    cause_top1         Float64 CODEC(ZSTD) COMMENT 'Most frequent ServiceAlertCause, of equally frequent ones the smallest; NaN: none',
    cause_top1_count   Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent one; 0: none',
    level_top1         Float64 CODEC(ZSTD) COMMENT 'Most frequent ServiceAlertLevel, of equally frequent ones the smallest; NaN: none',
    level_top1_count   Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent one; 0: none',
    level_top2         Float64 CODEC(ZSTD) COMMENT 'Second most frequent ServiceAlertLevel, of equally frequent ones the smallest; NaN: none',
    level_top2_count   Float64 CODEC(ZSTD) COMMENT 'How many observations were of the second most frequent one; 0: none',
    level_top3         Float64 CODEC(ZSTD) COMMENT 'Third most frequent ServiceAlertLevel, of equally frequent ones the smallest; NaN: none',
    level_top3_count   Float64 CODEC(ZSTD) COMMENT 'How many observations were of the third most frequent one; 0: none',
    level_top4         Float64 CODEC(ZSTD) COMMENT 'Fourth most frequent ServiceAlertLevel, of equally frequent ones the smallest; NaN: none',
    level_top4_count   Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fourth most frequent one; 0: none',
    stored_time        DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of alerts of operators; an observation that came late makes another revision';
