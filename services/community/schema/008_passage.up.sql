-- Passages of gates as they came, and their windows. Who passed is erased long before the passage is.

CREATE TABLE IF NOT EXISTS passage
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Gate or, where people inside were counted, building',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Moment of the passage',
    period_s        UInt32 CODEC(ZSTD) COMMENT '0: a moment',
    medium          UInt32 CODEC(ZSTD) COMMENT 'Medium that was identified with: number of a PassageMedium; 0: not told',
    outcome         UInt32 CODEC(ZSTD) COMMENT 'Outcome: number of a PassageOutcome',
    count_in        Float32 CODEC(ZSTD) COMMENT 'People who went in; NaN: not told',
    count_out       Float32 CODEC(ZSTD) COMMENT 'People who went out; NaN: not told',
    occupancy       Float32 CODEC(ZSTD) COMMENT 'People inside, all counted at this moment; NaN: not counted',
    person_a        Float64 DEFAULT nan CODEC(ZSTD) TTL stored_time + INTERVAL 21 DAY COMMENT 'First 52 bits of the keyed hash of the person, plus 2^52; NaN: not told, or erased after 21 days',
    person_b        Float64 DEFAULT nan CODEC(ZSTD) TTL stored_time + INTERVAL 21 DAY COMMENT 'Next 52 bits of the keyed hash of the person, plus 2^52; NaN: not told, or erased after 21 days',
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
COMMENT 'Observations of passages, each place of the log once; of a frame that was sent twice, both places (not for analysts)';

CREATE TABLE IF NOT EXISTS passage_windows
(
    city               LowCardinality(String) COMMENT 'City',
    window             LowCardinality(String) COMMENT 'Window: 15m, 1h',
    entity_id          String CODEC(ZSTD) COMMENT 'Gate or, where people inside were counted, building',
    start_time         DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time           DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition    UInt32 COMMENT 'Partition of the observation topic',
    revision           UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    medium_top1        Float64 CODEC(ZSTD) COMMENT 'Most frequent medium: number of a PassageMedium, of equally frequent ones the smallest; NaN: none',
    medium_top1_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent medium; 0: none',
    medium_top2        Float64 CODEC(ZSTD) COMMENT 'Second most frequent medium: number of a PassageMedium; NaN: none',
    medium_top2_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the second most frequent medium; 0: none',
    medium_top3        Float64 CODEC(ZSTD) COMMENT 'Third most frequent medium: number of a PassageMedium; NaN: none',
    medium_top3_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the third most frequent medium; 0: none',
    medium_top4        Float64 CODEC(ZSTD) COMMENT 'Fourth most frequent medium: number of a PassageMedium; NaN: none',
    medium_top4_count  Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fourth most frequent medium; 0: none',
    outcome_top1       Float64 CODEC(ZSTD) COMMENT 'Most frequent outcome: number of a PassageOutcome, of equally frequent ones the smallest; NaN: none',
    outcome_top1_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent outcome; 0: none',
    outcome_top2       Float64 CODEC(ZSTD) COMMENT 'Second most frequent outcome: number of a PassageOutcome; NaN: none',
    outcome_top2_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the second most frequent outcome; 0: none',
    outcome_top3       Float64 CODEC(ZSTD) COMMENT 'Third most frequent outcome: number of a PassageOutcome; NaN: none',
    outcome_top3_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the third most frequent outcome; 0: none',
    outcome_top4       Float64 CODEC(ZSTD) COMMENT 'Fourth most frequent outcome: number of a PassageOutcome; NaN: none',
    outcome_top4_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fourth most frequent outcome; 0: none',
    outcome_top5       Float64 CODEC(ZSTD) COMMENT 'Fifth most frequent outcome: number of a PassageOutcome; NaN: none',
    outcome_top5_count Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fifth most frequent outcome; 0: none',
    count_in_sum       Float64 CODEC(ZSTD) COMMENT 'People who went in: sum; NaN: none',
    count_out_sum      Float64 CODEC(ZSTD) COMMENT 'People who went out: sum; NaN: none',
    occupancy_last     Float64 CODEC(ZSTD) COMMENT 'People inside, as counted last; NaN: not counted',
    stored_time        DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of passages; an observation that came late makes another revision (not for analysts)';
