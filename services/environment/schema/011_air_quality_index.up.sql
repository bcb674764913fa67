-- The index of air quality by hour and by local day, each row with the standard that it was computed with.

CREATE TABLE IF NOT EXISTS air_quality_index
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Station',
    start_time      DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the hour, inclusive',
    end_time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End of the hour, exclusive',
    kafka_partition UInt32 COMMENT 'Partition of the observation topic',
    revision        UInt32 CODEC(ZSTD) COMMENT 'Number of observations of the 48 hours looked at; the row with the greatest is the final one',
    standard_id     LowCardinality(String) COMMENT 'Standard that held there on that day: hj-633-2012, hj-633-2026, us-epa-2024',
    aqi_1h          Float64 CODEC(ZSTD) COMMENT 'Index of the hour; NaN: not known',
    complete_1h     Bool COMMENT 'Whether the sub-index of every pollutant is known',
    primary_1h      LowCardinality(String) COMMENT 'Primary pollutants of the hour, several joined by a comma; empty: none',
    iaqi_pm2_5_1h   Float64 CODEC(ZSTD) COMMENT 'Sub-index of PM2.5 of the hour; NaN: not known',
    iaqi_pm10_1h    Float64 CODEC(ZSTD) COMMENT 'Sub-index of PM10 of the hour; NaN: not known',
    iaqi_so2_1h     Float64 CODEC(ZSTD) COMMENT 'Sub-index of SO₂ of the hour; NaN: not known',
    iaqi_no2_1h     Float64 CODEC(ZSTD) COMMENT 'Sub-index of NO₂ of the hour; NaN: not known',
    iaqi_o3_1h      Float64 CODEC(ZSTD) COMMENT 'Sub-index of O₃ of the hour; NaN: not known',
    iaqi_co_1h      Float64 CODEC(ZSTD) COMMENT 'Sub-index of CO of the hour; NaN: not known',
    aqi_24h         Float64 CODEC(ZSTD) COMMENT 'Index of the 24 hours up to the end of the hour; NaN: not known',
    complete_24h    Bool COMMENT 'Whether the sub-index of every pollutant is known',
    primary_24h     LowCardinality(String) COMMENT 'Primary pollutants of the 24 hours up to the end of the hour, several joined by a comma; empty: none',
    iaqi_pm2_5_24h  Float64 CODEC(ZSTD) COMMENT 'Sub-index of PM2.5 of the 24 hours up to the end of the hour; NaN: not known',
    iaqi_pm10_24h   Float64 CODEC(ZSTD) COMMENT 'Sub-index of PM10 of the 24 hours up to the end of the hour; NaN: not known',
    iaqi_so2_24h    Float64 CODEC(ZSTD) COMMENT 'Sub-index of SO₂ of the 24 hours up to the end of the hour; NaN: not known',
    iaqi_no2_24h    Float64 CODEC(ZSTD) COMMENT 'Sub-index of NO₂ of the 24 hours up to the end of the hour; NaN: not known',
    iaqi_o3_24h     Float64 CODEC(ZSTD) COMMENT 'Sub-index of O₃ of the 24 hours up to the end of the hour; NaN: not known',
    iaqi_co_24h     Float64 CODEC(ZSTD) COMMENT 'Sub-index of CO of the 24 hours up to the end of the hour; NaN: not known',
    pm2_5_ug_m3_24h Float64 CODEC(ZSTD) COMMENT 'PM2.5 in µg/m³: mean of the 24 hours up to the end of the hour; NaN: too few hours',
    pm10_ug_m3_24h  Float64 CODEC(ZSTD) COMMENT 'PM10 in µg/m³: mean of the 24 hours up to the end of the hour; NaN: too few hours',
    so2_ug_m3_24h   Float64 CODEC(ZSTD) COMMENT 'SO₂ in µg/m³: mean of the 24 hours up to the end of the hour; NaN: too few hours',
    no2_ug_m3_24h   Float64 CODEC(ZSTD) COMMENT 'NO₂ in µg/m³: mean of the 24 hours up to the end of the hour; NaN: too few hours',
    o3_ug_m3_24h    Float64 CODEC(ZSTD) COMMENT 'O₃ in µg/m³: mean of the 24 hours up to the end of the hour; NaN: too few hours',
    co_mg_m3_24h    Float64 CODEC(ZSTD) COMMENT 'CO in mg/m³: mean of the 24 hours up to the end of the hour; NaN: too few hours',
    o3_ug_m3_8h     Float64 CODEC(ZSTD) COMMENT 'O₃ in µg/m³: mean of the 8 hours up to the end of the hour; NaN: too few hours',
    co_mg_m3_8h     Float64 CODEC(ZSTD) COMMENT 'CO in mg/m³: mean of the 8 hours up to the end of the hour; NaN: too few hours',
    stored_time     DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, entity_id, start_time)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Index of air quality at stations, hour by hour: of the hour and of the 24 hours up to it';

CREATE TABLE IF NOT EXISTS air_quality_days
(
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String CODEC(ZSTD) COMMENT 'Station',
    start_time      DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the local day, by standard time, inclusive',
    end_time        DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End of the local day, by standard time, exclusive',
    kafka_partition UInt32 COMMENT 'Partition of the observation topic',
    revision        UInt32 CODEC(ZSTD) COMMENT 'Number of observations of the day, and of the hours after it that its 8-hour means reach into; the row with the greatest is the final one',
    day             Date DEFAULT toDate(start_time + toIntervalSecond(utc_offset_s)) COMMENT 'Local day, by standard time',
    utc_offset_s    Float64 CODEC(ZSTD) COMMENT 'What the local clock is ahead of UTC in s, not on summer time',
    standard_id     LowCardinality(String) COMMENT 'Standard that held there on that day: hj-633-2012, hj-633-2026, us-epa-2024',
    aqi             Float64 CODEC(ZSTD) COMMENT 'Index of the day as far as it is known; NaN: not known',
    complete        Bool COMMENT 'Whether the sub-index of every pollutant is known',
    primary         LowCardinality(String) COMMENT 'Primary pollutants of the day as far as it is known, several joined by a comma; empty: none',
    iaqi_pm2_5      Float64 CODEC(ZSTD) COMMENT 'Sub-index of PM2.5 of the day as far as it is known; NaN: not known',
    iaqi_pm10       Float64 CODEC(ZSTD) COMMENT 'Sub-index of PM10 of the day as far as it is known; NaN: not known',
    iaqi_so2        Float64 CODEC(ZSTD) COMMENT 'Sub-index of SO₂ of the day as far as it is known; NaN: not known',
    iaqi_no2        Float64 CODEC(ZSTD) COMMENT 'Sub-index of NO₂ of the day as far as it is known; NaN: not known',
    iaqi_o3         Float64 CODEC(ZSTD) COMMENT 'Sub-index of O₃ of the day as far as it is known; NaN: not known',
    iaqi_co         Float64 CODEC(ZSTD) COMMENT 'Sub-index of CO of the day as far as it is known; NaN: not known',
    stored_time     DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, entity_id, start_time)
COMMENT 'Index of air quality at stations by local day, as far as the day is known; whole when it is over';
