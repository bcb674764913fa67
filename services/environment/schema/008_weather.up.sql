-- Observations of weather as they came, and their windows.

CREATE TABLE IF NOT EXISTS weather
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Weather station',
    time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the time that was measured over',
    period_s        UInt32 CODEC(ZSTD) COMMENT 'Length of the time that was measured over, in s; 0: a moment',
    temperature_c   Float32 CODEC(ZSTD) COMMENT 'Air temperature in °C; NaN: not measured',
    humidity        Float32 CODEC(ZSTD) COMMENT 'Relative humidity, 0 to 1; NaN: not measured',
    pressure_hpa    Float32 CODEC(ZSTD) COMMENT 'Air pressure at the station in hPa; NaN: not measured',
    wind_m_s        Float32 CODEC(ZSTD) COMMENT 'Wind speed at 10 m in m/s; NaN: not measured',
    wind_from_deg   Float32 CODEC(ZSTD) COMMENT 'Direction that the wind comes from in degrees clockwise from north; NaN: not measured',
    gust_m_s        Float32 CODEC(ZSTD) COMMENT 'Greatest gust in m/s; NaN: not measured',
    rain_mm         Float32 CODEC(ZSTD) COMMENT 'Rain of the time that was measured over in mm; NaN: not measured',
    radiation_w_m2  Float32 CODEC(ZSTD) COMMENT 'Total solar radiation in W/m²; NaN: not measured',
    visibility_m    Float32 CODEC(ZSTD) COMMENT 'Horizontal visibility in m; NaN: not measured',
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
COMMENT 'Observations of weather: each once, also where its frame came twice';

CREATE TABLE IF NOT EXISTS weather_windows
(
    city                LowCardinality(String) COMMENT 'City',
    window              LowCardinality(String) COMMENT 'Window: 10m, 1h',
    entity_id           String CODEC(ZSTD) COMMENT 'Weather station',
    start_time          DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start, inclusive',
    end_time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End, exclusive',
    kafka_partition     UInt32 COMMENT 'Partition of the observation topic',
    revision            UInt32 CODEC(ZSTD) COMMENT 'Number of observations folded; the row with the greatest is the final one',
    temperature_c_mean  Float64 CODEC(ZSTD) COMMENT 'Air temperature in °C: mean; NaN: none',
    temperature_c_min   Float64 CODEC(ZSTD) COMMENT 'Air temperature in °C: least; NaN: none',
    temperature_c_max   Float64 CODEC(ZSTD) COMMENT 'Air temperature in °C: greatest; NaN: none',
    humidity_mean       Float64 CODEC(ZSTD) COMMENT 'Relative humidity, 0 to 1: mean; NaN: none',
    pressure_hpa_mean   Float64 CODEC(ZSTD) COMMENT 'Air pressure at the station in hPa: mean; NaN: none',
    wind_m_s_count      Float64 CODEC(ZSTD) COMMENT 'Wind speed at 10 m in m/s: numbers present',
    wind_m_s_mean       Float64 CODEC(ZSTD) COMMENT 'Wind speed at 10 m in m/s: mean; NaN: none',
    wind_m_s_max        Float64 CODEC(ZSTD) COMMENT 'Wind speed at 10 m in m/s: greatest; NaN: none',
    wind_from_deg_last  Float64 CODEC(ZSTD) COMMENT 'Direction that the wind comes from in degrees clockwise from north: of the latest observation; NaN: none',
    gust_m_s_max        Float64 CODEC(ZSTD) COMMENT 'Greatest gust in m/s: greatest; NaN: none',
    rain_mm_sum         Float64 CODEC(ZSTD) COMMENT 'Rain of the time that was measured over in mm: sum; NaN: none',
    radiation_w_m2_mean Float64 CODEC(ZSTD) COMMENT 'Total solar radiation in W/m²: mean; NaN: none',
    visibility_m_mean   Float64 CODEC(ZSTD) COMMENT 'Horizontal visibility in m: mean; NaN: none',
    visibility_m_min    Float64 CODEC(ZSTD) COMMENT 'Horizontal visibility in m: least; NaN: none',
    stored_time         DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, window, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Windows of weather; an observation that came late makes another revision';
