-- A station of air quality may tell the wind that it measures: where a rise of pollution came from.

ALTER TABLE air_quality
    ADD COLUMN IF NOT EXISTS wind_m_s Float32 DEFAULT nan CODEC(ZSTD) COMMENT 'Wind speed in m/s; NaN: not measured' AFTER co_mg_m3,
    ADD COLUMN IF NOT EXISTS wind_from_deg Float32 DEFAULT nan CODEC(ZSTD) COMMENT 'Direction that the wind comes from in degrees clockwise from north; NaN: not measured' AFTER wind_m_s;

ALTER TABLE air_quality_windows
    ADD COLUMN IF NOT EXISTS wind_m_s_mean Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'Wind speed in m/s: mean; NaN: none' AFTER co_mg_m3_distinct,
    ADD COLUMN IF NOT EXISTS wind_from_deg_mean_direction Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'Direction that the wind comes from in degrees clockwise from north: of the sum of wind vectors; NaN: none, or they cancel' AFTER wind_m_s_mean;
