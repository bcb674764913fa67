-- How many different values there were: a single one among many numbers is that of an analyser that hangs.

ALTER TABLE air_quality_windows
    ADD COLUMN IF NOT EXISTS pm2_5_ug_m3_distinct Float64 CODEC(ZSTD) COMMENT 'PM2.5 in µg/m³: number of different values, within a relative standard error of 1.63 %; 0: none' AFTER pm2_5_ug_m3_max,
    ADD COLUMN IF NOT EXISTS pm10_ug_m3_distinct  Float64 CODEC(ZSTD) COMMENT 'PM10 in µg/m³: number of different values, within a relative standard error of 1.63 %; 0: none' AFTER pm10_ug_m3_max,
    ADD COLUMN IF NOT EXISTS so2_ug_m3_distinct   Float64 CODEC(ZSTD) COMMENT 'SO₂ in µg/m³: number of different values, within a relative standard error of 1.63 %; 0: none' AFTER so2_ug_m3_max,
    ADD COLUMN IF NOT EXISTS no2_ug_m3_distinct   Float64 CODEC(ZSTD) COMMENT 'NO₂ in µg/m³: number of different values, within a relative standard error of 1.63 %; 0: none' AFTER no2_ug_m3_max,
    ADD COLUMN IF NOT EXISTS o3_ug_m3_distinct    Float64 CODEC(ZSTD) COMMENT 'O₃ in µg/m³: number of different values, within a relative standard error of 1.63 %; 0: none' AFTER o3_ug_m3_max,
    ADD COLUMN IF NOT EXISTS co_mg_m3_distinct    Float64 CODEC(ZSTD) COMMENT 'CO in mg/m³: number of different values, within a relative standard error of 1.63 %; 0: none' AFTER co_mg_m3_max;
