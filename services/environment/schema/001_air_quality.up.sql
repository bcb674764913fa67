-- Observations of air quality as they came, and their windows.

CREATE TABLE IF NOT EXISTS air_quality
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Station',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the time that was measured over',
    period_s        UInt32 CODEC(ZSTD) COMMENT 'Length of the time that was measured over, in s; 0: a moment',
    pm2_5_ug_m3     Float32 CODEC(ZSTD) COMMENT 'PM2.5 in µg/m³; NaN: not measured',
    pm10_ug_m3      Float32 CODEC(ZSTD) COMMENT 'PM10 in µg/m³; NaN: not measured',
    so2_ug_m3       Float32 CODEC(ZSTD) COMMENT 'SO₂ in µg/m³; NaN: not measured',
    no2_ug_m3       Float32 CODEC(ZSTD) COMMENT 'NO₂ in µg/m³; NaN: not measured',
    o3_ug_m3        Float32 CODEC(ZSTD) COMMENT 'O₃ in µg/m³; NaN: not measured',
    co_mg_m3        Float32 CODEC(ZSTD) COMMENT 'CO in mg/m³; NaN: not measured',
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
COMMENT 'Observations of air quality: each once, also where its frame came twice';

CREATE TABLE IF NOT EXISTS air_quality_windows
(
    city              LowCardinality(String) COMMENT 'City',
    window            LowCardinality(String) COMMENT 'Window: 1h',
    entity_id         String CODEC(ZSTD) COMMENT 'Station',
    start_time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time          DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition   UInt32 COMMENT 'Partition of the observation topic',
    revision          UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    pm2_5_ug_m3_count Float64 CODEC(ZSTD) COMMENT 'PM2.5 in µg/m³: numbers present; NaN: none',
    pm2_5_ug_m3_mean  Float64 CODEC(ZSTD) COMMENT 'PM2.5 in µg/m³: mean; NaN: none',
    pm2_5_ug_m3_max   Float64 CODEC(ZSTD) COMMENT 'PM2.5 in µg/m³: greatest; NaN: none',
    pm10_ug_m3_count  Float64 CODEC(ZSTD) COMMENT 'PM10 in µg/m³: numbers present; NaN: none',
    pm10_ug_m3_mean   Float64 CODEC(ZSTD) COMMENT 'PM10 in µg/m³: mean; NaN: none',
    pm10_ug_m3_max    Float64 CODEC(ZSTD) COMMENT 'PM10 in µg/m³: greatest; NaN: none',
    so2_ug_m3_count   Float64 CODEC(ZSTD) COMMENT 'SO₂ in µg/m³: numbers present; NaN: none',
    so2_ug_m3_mean    Float64 CODEC(ZSTD) COMMENT 'SO₂ in µg/m³: mean; NaN: none',
    so2_ug_m3_max     Float64 CODEC(ZSTD) COMMENT 'SO₂ in µg/m³: greatest; NaN: none',
    no2_ug_m3_count   Float64 CODEC(ZSTD) COMMENT 'NO₂ in µg/m³: numbers present; NaN: none',
    no2_ug_m3_mean    Float64 CODEC(ZSTD) COMMENT 'NO₂ in µg/m³: mean; NaN: none',
    no2_ug_m3_max     Float64 CODEC(ZSTD) COMMENT 'NO₂ in µg/m³: greatest; NaN: none',
    o3_ug_m3_count    Float64 CODEC(ZSTD) COMMENT 'O₃ in µg/m³: numbers present; NaN: none',
    o3_ug_m3_mean     Float64 CODEC(ZSTD) COMMENT 'O₃ in µg/m³: mean; NaN: none',
    o3_ug_m3_max      Float64 CODEC(ZSTD) COMMENT 'O₃ in µg/m³: greatest; NaN: none',
    co_mg_m3_count    Float64 CODEC(ZSTD) COMMENT 'CO in mg/m³: numbers present; NaN: none',
    co_mg_m3_mean     Float64 CODEC(ZSTD) COMMENT 'CO in mg/m³: mean; NaN: none',
    co_mg_m3_max      Float64 CODEC(ZSTD) COMMENT 'CO in mg/m³: greatest; NaN: none',
    stored_time       DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of air quality; an observation that came late makes another revision';
