-- Observations of road flow as they came, and their windows.

CREATE TABLE IF NOT EXISTS road_flow
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Road segment or lane',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the time that was measured over',
    period_s        UInt32 CODEC(ZSTD) COMMENT 'Length of the time that was measured over, in s; 0: a moment',
    flow_veh_h      Float32 CODEC(ZSTD) COMMENT 'Flow in vehicles per hour; NaN: not measured',
    speed_kmh       Float32 CODEC(ZSTD) COMMENT 'Mean speed in km/h; NaN: not measured',
    occupancy       Float32 CODEC(ZSTD) COMMENT 'Share of time that the detector is covered, 0 to 1; NaN: not measured',
    heavy_share     Float32 CODEC(ZSTD) COMMENT 'Share of heavy vehicles in the flow, 0 to 1; NaN: not measured',
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
COMMENT 'Observations of road flow: each once, also where its frame came twice';

CREATE TABLE IF NOT EXISTS road_flow_windows
(
    city                     LowCardinality(String) COMMENT 'City',
    window                   LowCardinality(String) COMMENT 'Window: 1m, 5m',
    entity_id                String CODEC(ZSTD) COMMENT 'Road segment or lane',
    start_time               DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time                 DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition          UInt32 COMMENT 'Partition of the observation topic',
    revision                 UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    flow_veh_h_count         Float64 CODEC(ZSTD) COMMENT 'Flow in vehicles per hour: numbers present; NaN: none',
    flow_veh_h_mean          Float64 CODEC(ZSTD) COMMENT 'Flow in vehicles per hour: mean; NaN: none',
    flow_veh_h_min           Float64 CODEC(ZSTD) COMMENT 'Flow in vehicles per hour: least; NaN: none',
    flow_veh_h_max           Float64 CODEC(ZSTD) COMMENT 'Flow in vehicles per hour: greatest; NaN: none',
    flow_veh_h_sum           Float64 CODEC(ZSTD) COMMENT 'Flow in vehicles per hour: sum; NaN: none',
    speed_kmh_count          Float64 CODEC(ZSTD) COMMENT 'Mean speed in km/h: numbers present; NaN: none',
    speed_kmh_mean           Float64 CODEC(ZSTD) COMMENT 'Mean speed in km/h: mean; NaN: none',
    speed_kmh_min            Float64 CODEC(ZSTD) COMMENT 'Mean speed in km/h: least; NaN: none',
    speed_kmh_max            Float64 CODEC(ZSTD) COMMENT 'Mean speed in km/h: greatest; NaN: none',
    speed_kmh_sum_of_squares Float64 CODEC(ZSTD) COMMENT 'Mean speed in km/h: sum of squares; NaN: none',
    speed_kmh_last           Float64 CODEC(ZSTD) COMMENT 'Mean speed in km/h: of the latest observation; NaN: none',
    speed_kmh_p15            Float64 CODEC(ZSTD) COMMENT 'Mean speed in km/h: 15th percentile, to 1 %; NaN: none',
    speed_kmh_p50            Float64 CODEC(ZSTD) COMMENT 'Mean speed in km/h: 50th percentile, to 1 %; NaN: none',
    speed_kmh_p85            Float64 CODEC(ZSTD) COMMENT 'Mean speed in km/h: 85th percentile, to 1 %; NaN: none',
    occupancy_count          Float64 CODEC(ZSTD) COMMENT 'Share of time that the detector is covered, 0 to 1: numbers present; NaN: none',
    occupancy_mean           Float64 CODEC(ZSTD) COMMENT 'Share of time that the detector is covered, 0 to 1: mean; NaN: none',
    occupancy_min            Float64 CODEC(ZSTD) COMMENT 'Share of time that the detector is covered, 0 to 1: least; NaN: none',
    occupancy_max            Float64 CODEC(ZSTD) COMMENT 'Share of time that the detector is covered, 0 to 1: greatest; NaN: none',
    heavy_share_mean         Float64 CODEC(ZSTD) COMMENT 'Share of heavy vehicles in the flow, 0 to 1: mean; NaN: none',
    stored_time              DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of road flow; an observation that came late makes another revision';
