-- LAeq of a window is the mean of energy, and the mean direction of the wind that of its vectors.

ALTER TABLE noise_windows
    ADD COLUMN IF NOT EXISTS laeq_db_energy_mean Float64 CODEC(ZSTD) COMMENT 'LAeq of the window in dB(A): 10 lg of the mean of 10^(L/10); NaN: none' AFTER laeq_db_count;

ALTER TABLE weather_windows
    ADD COLUMN IF NOT EXISTS wind_from_deg_mean_direction Float64 CODEC(ZSTD) COMMENT 'Direction that the wind comes from in degrees clockwise from north: of the sum of wind vectors; NaN: none, or they cancel' AFTER wind_from_deg_last;
