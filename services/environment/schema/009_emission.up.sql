-- Observations of emissions as they came, and their windows.

CREATE TABLE IF NOT EXISTS emission
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Outlet of a permitted source',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the time that was measured over',
    period_s        UInt32 CODEC(ZSTD) COMMENT 'Length of the time that was measured over, in s; 0: a moment',
    dust_mg_m3      Float32 CODEC(ZSTD) COMMENT 'Dust in mg/m³; NaN: not measured',
    so2_mg_m3       Float32 CODEC(ZSTD) COMMENT 'SO₂ in mg/m³; NaN: not measured',
    nox_mg_m3       Float32 CODEC(ZSTD) COMMENT 'NOx as NO₂ in mg/m³; NaN: not measured',
    flow_m3_h       Float32 CODEC(ZSTD) COMMENT 'Flow of waste gas in m³/h; NaN: not measured',
    oxygen_percent  Float32 CODEC(ZSTD) COMMENT 'Oxygen in the dry waste gas in % by volume; NaN: not measured',
    state           UInt32 CODEC(ZSTD) COMMENT 'State of the source: number of an EmissionState',
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
COMMENT 'Observations of emissions: each once, also where its frame came twice';

CREATE TABLE IF NOT EXISTS emission_windows
(
    city                LowCardinality(String) COMMENT 'City',
    window              LowCardinality(String) COMMENT 'Window: 1h, 4h',
    entity_id           String CODEC(ZSTD) COMMENT 'Outlet of a permitted source',
    start_time          DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition     UInt32 COMMENT 'Partition of the observation topic',
    revision            UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    dust_mg_m3_count    Float64 CODEC(ZSTD) COMMENT 'Dust in mg/m³: numbers present',
    dust_mg_m3_mean     Float64 CODEC(ZSTD) COMMENT 'Dust in mg/m³: mean; NaN: none',
    dust_mg_m3_min      Float64 CODEC(ZSTD) COMMENT 'Dust in mg/m³: least; NaN: none',
    dust_mg_m3_max      Float64 CODEC(ZSTD) COMMENT 'Dust in mg/m³: greatest; NaN: none',
    so2_mg_m3_count     Float64 CODEC(ZSTD) COMMENT 'SO₂ in mg/m³: numbers present',
    so2_mg_m3_mean      Float64 CODEC(ZSTD) COMMENT 'SO₂ in mg/m³: mean; NaN: none',
    so2_mg_m3_min       Float64 CODEC(ZSTD) COMMENT 'SO₂ in mg/m³: least; NaN: none',
    so2_mg_m3_max       Float64 CODEC(ZSTD) COMMENT 'SO₂ in mg/m³: greatest; NaN: none',
    nox_mg_m3_count     Float64 CODEC(ZSTD) COMMENT 'NOx as NO₂ in mg/m³: numbers present',
    nox_mg_m3_mean      Float64 CODEC(ZSTD) COMMENT 'NOx as NO₂ in mg/m³: mean; NaN: none',
    nox_mg_m3_min       Float64 CODEC(ZSTD) COMMENT 'NOx as NO₂ in mg/m³: least; NaN: none',
    nox_mg_m3_max       Float64 CODEC(ZSTD) COMMENT 'NOx as NO₂ in mg/m³: greatest; NaN: none',
    flow_m3_h_mean      Float64 CODEC(ZSTD) COMMENT 'Flow of waste gas in m³/h: mean; NaN: none',
    oxygen_percent_mean Float64 CODEC(ZSTD) COMMENT 'Oxygen in the dry waste gas in % by volume: mean; NaN: none',
    state_distinct      Float64 CODEC(ZSTD) COMMENT 'Number of different states, exact',
    state_top1          Float64 CODEC(ZSTD) COMMENT 'Most frequent state: number of an EmissionState, of equally frequent ones the smallest; NaN: none',
    state_top1_count    Float64 CODEC(ZSTD) COMMENT 'How many observations were of the most frequent state; 0: none',
    state_top2          Float64 CODEC(ZSTD) COMMENT 'Second most frequent state: number of an EmissionState; NaN: none',
    state_top2_count    Float64 CODEC(ZSTD) COMMENT 'How many observations were of the second most frequent state; 0: none',
    state_top3          Float64 CODEC(ZSTD) COMMENT 'Third most frequent state: number of an EmissionState; NaN: none',
    state_top3_count    Float64 CODEC(ZSTD) COMMENT 'How many observations were of the third most frequent state; 0: none',
    stored_time         DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of emissions; an observation that came late makes another revision';
