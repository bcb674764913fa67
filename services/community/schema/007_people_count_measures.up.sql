-- How even the counts of a window are, and how it began.

ALTER TABLE people_count_windows
    ADD COLUMN IF NOT EXISTS count_variance Float64 CODEC(ZSTD) COMMENT 'People counted: sample variance of the counts; NaN: fewer than two' AFTER count_max,
    ADD COLUMN IF NOT EXISTS count_first    Float64 CODEC(ZSTD) COMMENT 'People counted: of the earliest observation; NaN: none' AFTER count_variance;
