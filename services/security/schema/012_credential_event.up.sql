-- Uses of credentials as they came, and their windows. Whose they are is erased long before the use is.

CREATE TABLE IF NOT EXISTS credential_event
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'System whose gates and credentials belong together',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Moment of the use',
    period_s        UInt32 CODEC(ZSTD) COMMENT '0: a moment',
    outcome         UInt32 CODEC(ZSTD) COMMENT 'What became of it: number of a CredentialOutcome',
    medium          UInt32 CODEC(ZSTD) COMMENT 'What was identified with: number of a CredentialMedium; 0: not told',
    direction       UInt32 CODEC(ZSTD) COMMENT 'Where the gate leads: number of a CredentialDirection; 0: not told',
    gate            Float32 CODEC(ZSTD) COMMENT 'Number of the gate in its system; NaN: not told',
    area            Float32 CODEC(ZSTD) COMMENT 'Number of the area that the gate leads into or out of; NaN: not told',
    latitude        Float64 CODEC(ZSTD) COMMENT 'Degrees north of the gate; NaN: not known',
    longitude       Float64 CODEC(ZSTD) COMMENT 'Degrees east of the gate; NaN: not known',
    person_a        Float64 DEFAULT nan CODEC(ZSTD) TTL stored_time + INTERVAL 21 DAY COMMENT 'First 52 bits of the keyed hash of the holder, plus 2^52; NaN: not known, or erased after 21 days',
    person_b        Float64 DEFAULT nan CODEC(ZSTD) TTL stored_time + INTERVAL 21 DAY COMMENT 'Next 52 bits of the keyed hash of the holder, plus 2^52; NaN: not known, or erased after 21 days',
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
COMMENT 'Observations of uses of credentials, each place of the log once; of a frame that was sent twice, both places (not for analysts)';

CREATE TABLE IF NOT EXISTS credential_event_windows
(
    city                    LowCardinality(String) COMMENT 'City',
    window                  LowCardinality(String) COMMENT 'Window: 1m',
    entity_id               String CODEC(ZSTD) COMMENT 'System whose gates and credentials belong together',
    start_time              DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time                DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition         UInt32 COMMENT 'Partition of the observation topic',
    revision                UInt32 CODEC(ZSTD) COMMENT 'Number of observations weighed: those of the window and of the 12 hours before it; the row with the greatest is the final one',
    outcome_top1            Float64 CODEC(ZSTD) COMMENT 'Most frequent outcome: number of a CredentialOutcome, of equally frequent ones the smallest; NaN: none',
    outcome_top1_count      Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent outcome; 0: none',
    outcome_top2            Float64 CODEC(ZSTD) COMMENT 'Second most frequent outcome: number of a CredentialOutcome; NaN: none',
    outcome_top2_count      Float64 CODEC(ZSTD) COMMENT 'How many observations were of the second most frequent outcome; 0: none',
    outcome_top3            Float64 CODEC(ZSTD) COMMENT 'Third most frequent outcome: number of a CredentialOutcome; NaN: none',
    outcome_top3_count      Float64 CODEC(ZSTD) COMMENT 'How many observations were of the third most frequent outcome; 0: none',
    outcome_top4            Float64 CODEC(ZSTD) COMMENT 'Fourth most frequent outcome: number of a CredentialOutcome; NaN: none',
    outcome_top4_count      Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fourth most frequent outcome; 0: none',
    outcome_top5            Float64 CODEC(ZSTD) COMMENT 'Fifth most frequent outcome: number of a CredentialOutcome; NaN: none',
    outcome_top5_count      Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fifth most frequent outcome; 0: none',
    medium_top1             Float64 CODEC(ZSTD) COMMENT 'Most frequent medium: number of a CredentialMedium, of equally frequent ones the smallest; NaN: none',
    medium_top1_count       Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent medium; 0: none',
    medium_top2             Float64 CODEC(ZSTD) COMMENT 'Second most frequent medium: number of a CredentialMedium; NaN: none',
    medium_top2_count       Float64 CODEC(ZSTD) COMMENT 'How many observations were of the second most frequent medium; 0: none',
    medium_top3             Float64 CODEC(ZSTD) COMMENT 'Third most frequent medium: number of a CredentialMedium; NaN: none',
    medium_top3_count       Float64 CODEC(ZSTD) COMMENT 'How many observations were of the third most frequent medium; 0: none',
    medium_top4             Float64 CODEC(ZSTD) COMMENT 'Fourth most frequent medium: number of a CredentialMedium; NaN: none',
    medium_top4_count       Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fourth most frequent medium; 0: none',
    medium_top5             Float64 CODEC(ZSTD) COMMENT 'Fifth most frequent medium: number of a CredentialMedium; NaN: none',
    medium_top5_count       Float64 CODEC(ZSTD) COMMENT 'How many observations were of the fifth most frequent medium; 0: none',
    brute_force_count       Float64 CODEC(ZSTD) COMMENT 'Successes after at least five failures of the same credential within five minutes; NaN: too many uses to know',
    passback_count          Float64 CODEC(ZSTD) COMMENT 'Entries that follow an entry of the same credential without an exit between; NaN: too many uses to know',
    impossible_travel_count Float64 CODEC(ZSTD) COMMENT 'Uses at a gate that nobody reaches so soon from the gate before; NaN: too many uses to know',
    stored_time             DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of uses of credentials; an observation that came late makes another revision';
