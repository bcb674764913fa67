-- Levels of local days, and what the limits of zones say of them; the levels of hours by the names of the field.

CREATE TABLE IF NOT EXISTS noise_days
(
    city                LowCardinality(String) COMMENT 'City',
    entity_id           String CODEC(ZSTD) COMMENT 'Sound level meter',
    start_time          DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the local day, inclusive',
    end_time            DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End of the local day, exclusive',
    kafka_partition     UInt32 COMMENT 'Partition of the observation topic',
    revision            UInt32 CODEC(ZSTD) COMMENT 'Number of observations of the day; the row with the greatest is the final one',
    day                 Date DEFAULT toDate(end_time + toIntervalSecond(utc_offset_s) - toIntervalHour(12)) COMMENT 'Local day',
    utc_offset_s        Float64 CODEC(ZSTD) COMMENT 'What the local clock is ahead of UTC in s, in the last hour that is known',
    lday_db             Float64 CODEC(ZSTD) COMMENT 'Lday in dB(A): LAeq from 7 to 19 o''clock; NaN: not all hours are known',
    levening_db         Float64 CODEC(ZSTD) COMMENT 'Levening in dB(A): LAeq from 19 to 23 o''clock; NaN: not all hours are known',
    lnight_db           Float64 CODEC(ZSTD) COMMENT 'Lnight in dB(A): LAeq from 23 to 7 o''clock, of the hours of this calendar day; NaN: not all hours are known',
    lden_db             Float64 CODEC(ZSTD) COMMENT 'Lden in dB(A), by directive 2002/49/EC; NaN: not all hours are known',
    zone                LowCardinality(String) COMMENT 'Class of zone by GB 3096-2008: 0, 1, 2, 3, 4a, 4b; empty: not told',
    zone_day_db         Float64 CODEC(ZSTD) COMMENT 'LAeq from 6 to 22 o''clock in dB(A); NaN: not all hours are known',
    zone_night_db       Float64 CODEC(ZSTD) COMMENT 'LAeq from 22 to 6 o''clock in dB(A), of the hours of this calendar day; NaN: not all hours are known',
    zone_night_lamax_db Float64 CODEC(ZSTD) COMMENT 'Greatest level of that night in dB(A), as far as it is known; NaN: none',
    zone_day_limit_db   Float64 CODEC(ZSTD) COMMENT 'Limit of the day in that zone in dB(A); NaN: no zone',
    zone_night_limit_db Float64 CODEC(ZSTD) COMMENT 'Limit of the night in that zone in dB(A); NaN: no zone',
    over_day_db         Float64 CODEC(ZSTD) COMMENT 'How far the day is above its limit in dB; negative: below; NaN: not known',
    over_night_db       Float64 CODEC(ZSTD) COMMENT 'How far the night is above its limit in dB; negative: below; NaN: not known',
    over_night_lamax_db Float64 CODEC(ZSTD) COMMENT 'How far the greatest level of the night is above its limit and 15 dB; negative: below; NaN: not known',
    stored_time         DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, entity_id, start_time)
COMMENT 'Levels of sound by local day, as far as the day is known; whole when it is over';

CREATE OR REPLACE VIEW noise_hours
(
    city       String COMMENT 'City',
    entity_id  String COMMENT 'Sound level meter',
    start_time DateTime64(3, 'UTC') COMMENT 'Start of the hour, inclusive',
    laeq_db    Float64 COMMENT 'LAeq of the hour in dB(A); NaN: none',
    lamax_db   Float64 COMMENT 'Greatest level of the hour in dB(A); NaN: none',
    l10_db     Float64 COMMENT 'L10 in dB(A): exceeded by 10 % of the levels, within 1/128; NaN: none',
    l50_db     Float64 COMMENT 'L50 in dB(A): exceeded by 50 % of the levels, within 1/128; NaN: none',
    l90_db     Float64 COMMENT 'L90 in dB(A): exceeded by 90 % of the levels, within 1/128; NaN: none'
)
COMMENT 'Levels of sound by hour, by the names of the field'
AS SELECT city, entity_id, start_time, laeq_db_energy_mean AS laeq_db, lamax_db_max AS lamax_db, laeq_db_p90 AS l10_db,
    laeq_db_p50 AS l50_db, laeq_db_p10 AS l90_db
FROM noise_windows FINAL WHERE window = '1h';
