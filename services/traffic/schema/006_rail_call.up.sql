-- Calls of trains at platforms as they came, and their windows.

CREATE TABLE IF NOT EXISTS rail_call
(
    city                LowCardinality(String) COMMENT 'City',
    entity_id           String CODEC(ZSTD) COMMENT 'Platform, of one line and direction',
    time                DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'When the train came, or was to come',
    period_s            UInt32 CODEC(ZSTD) COMMENT 'Length of the time that was measured over, in s; 0: a moment',
    headway_s           Float32 CODEC(ZSTD) COMMENT 'Time since the train before in s; NaN: not measured',
    scheduled_headway_s Float32 CODEC(ZSTD) COMMENT 'Time since the train before by the timetable in s; NaN: not known',
    delay_s             Float32 CODEC(ZSTD) COMMENT 'How late the train came in s, below 0: early; NaN: not measured',
    load_p_m2           Float32 CODEC(ZSTD) COMMENT 'Standing passengers per m²; NaN: not measured',
    state               UInt32 CODEC(ZSTD) COMMENT 'What became of the call: number of a RailCallState',
    occupancy_status    UInt32 CODEC(ZSTD) COMMENT 'How full the train was: number of a RailOccupancyStatus; 0: not told',
    source_id           LowCardinality(String) COMMENT 'Who made the frame; empty: not told',
    sequence            UInt64 CODEC(ZSTD) COMMENT 'Number of the frame at its source; 0: not numbered',
    kafka_partition     UInt32 COMMENT 'Partition of the observation topic',
    kafka_offset        Int64 CODEC(Delta, ZSTD) COMMENT 'Offset of the record in its partition',
    kafka_index         UInt32 COMMENT 'Index of the observation in its record',
    stored_time         DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (city, entity_id, time, kafka_partition, kafka_offset, kafka_index)
TTL stored_time + INTERVAL 90 DAY
COMMENT 'Calls of trains: each once, also where its frame came twice';

CREATE TABLE IF NOT EXISTS rail_call_windows
(
    city                               LowCardinality(String) COMMENT 'City',
    window                             LowCardinality(String) COMMENT 'Window: 15m, 1h',
    entity_id                          String CODEC(ZSTD) COMMENT 'Platform, of one line and direction',
    start_time                         DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time                           DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition                    UInt32 COMMENT 'Partition of the observation topic',
    revision                           UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    headway_s_count                    Float64 CODEC(ZSTD) COMMENT 'Time since the train before in s: numbers present',
    headway_s_sum                      Float64 CODEC(ZSTD) COMMENT 'Time since the train before in s: sum; NaN: none',
    headway_s_sum_of_squares           Float64 CODEC(ZSTD) COMMENT 'Time since the train before in s: sum of squares; NaN: none',
    headway_s_min                      Float64 CODEC(ZSTD) COMMENT 'Time since the train before in s: least; NaN: none',
    headway_s_max                      Float64 CODEC(ZSTD) COMMENT 'Time since the train before in s: greatest; NaN: none',
    scheduled_headway_s_count          Float64 CODEC(ZSTD) COMMENT 'Time since the train before by the timetable in s: numbers present',
    scheduled_headway_s_sum            Float64 CODEC(ZSTD) COMMENT 'Time since the train before by the timetable in s: sum; NaN: none',
    scheduled_headway_s_sum_of_squares Float64 CODEC(ZSTD) COMMENT 'Time since the train before by the timetable in s: sum of squares; NaN: none',
    scheduled_headway_s_min            Float64 CODEC(ZSTD) COMMENT 'Time since the train before by the timetable in s: least; NaN: none',
    scheduled_headway_s_max            Float64 CODEC(ZSTD) COMMENT 'Time since the train before by the timetable in s: greatest; NaN: none',
    delay_s_count                      Float64 CODEC(ZSTD) COMMENT 'Delay in s: numbers present',
    delay_s_mean                       Float64 CODEC(ZSTD) COMMENT 'Delay in s: mean; NaN: none',
    delay_s_min                        Float64 CODEC(ZSTD) COMMENT 'Delay in s: least; NaN: none',
    delay_s_max                        Float64 CODEC(ZSTD) COMMENT 'Delay in s: greatest; NaN: none',
    load_p_m2_count                    Float64 CODEC(ZSTD) COMMENT 'Standing passengers per m²: numbers present',
    load_p_m2_mean                     Float64 CODEC(ZSTD) COMMENT 'Standing passengers per m²: mean; NaN: none',
    load_p_m2_max                      Float64 CODEC(ZSTD) COMMENT 'Standing passengers per m²: greatest; NaN: none',
    state_distinct                     Float64 CODEC(ZSTD) COMMENT 'Number of different states, exact',
    state_top1                         Float64 CODEC(ZSTD) COMMENT 'Most frequent state: number of a RailCallState, of equally frequent ones the smallest; NaN: none',
    state_top1_count                   Float64 CODEC(ZSTD) COMMENT 'How many calls were of the most frequent state; 0: none',
    state_top2                         Float64 CODEC(ZSTD) COMMENT 'Second most frequent state: number of a RailCallState; NaN: none',
    state_top2_count                   Float64 CODEC(ZSTD) COMMENT 'How many calls were of the second most frequent state; 0: none',
    state_top3                         Float64 CODEC(ZSTD) COMMENT 'Third most frequent state: number of a RailCallState; NaN: none',
    state_top3_count                   Float64 CODEC(ZSTD) COMMENT 'How many calls were of the third most frequent state; 0: none',
    state_top4                         Float64 CODEC(ZSTD) COMMENT 'Fourth most frequent state: number of a RailCallState; NaN: none',
    state_top4_count                   Float64 CODEC(ZSTD) COMMENT 'How many calls were of the fourth most frequent state; 0: none',
    occupancy_status_top1              Float64 CODEC(ZSTD) COMMENT 'Most frequent word for how full trains were: number of a RailOccupancyStatus; NaN: none',
    occupancy_status_top1_count        Float64 CODEC(ZSTD) COMMENT 'How many calls had the most frequent word; 0: none',
    stored_time                        DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of calls of trains; one that came late makes another revision';
