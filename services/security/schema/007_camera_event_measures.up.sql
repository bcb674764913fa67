-- What cameras tell of themselves and of zones and lines, in columns of their own; five minutes that step on every one.

ALTER TABLE camera_event
    ADD COLUMN IF NOT EXISTS tampered    Float32 DEFAULT nan CODEC(ZSTD) COMMENT 'Whether the picture is lost, moved, dark, bright or blurred from this moment on: 1 or 0; NaN: not told' AFTER confidence,
    ADD COLUMN IF NOT EXISTS tamper_s    Float32 DEFAULT nan CODEC(ZSTD) COMMENT 'For how long it has been, or was, in s; NaN: not told' AFTER tampered,
    ADD COLUMN IF NOT EXISTS people      Float32 DEFAULT nan CODEC(ZSTD) COMMENT 'People that are there now; NaN: not counted' AFTER tamper_s,
    ADD COLUMN IF NOT EXISTS loitering_s Float32 DEFAULT nan CODEC(ZSTD) COMMENT 'For how long an object has loitered, in s; NaN: not told' AFTER people,
    ADD COLUMN IF NOT EXISTS crossings   Float32 DEFAULT nan CODEC(ZSTD) COMMENT 'Objects that crossed a line since this was told before; NaN: not counted' AFTER loitering_s;

ALTER TABLE camera_event COMMENT COLUMN entity_id 'Camera, or one of its rules (line, field, counter) as camera:rule';
ALTER TABLE camera_event COMMENT COLUMN value 'Figure of the event as the device told it; NaN: none';

ALTER TABLE camera_event_windows
    ADD COLUMN IF NOT EXISTS topic_last_ms    Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'When the latest event was, in ms since 1970 (UTC)' AFTER topic_distinct,
    ADD COLUMN IF NOT EXISTS topic_top4       Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'Fourth most frequent topic: number of a CameraTopic; NaN: none' AFTER topic_top3_count,
    ADD COLUMN IF NOT EXISTS topic_top4_count Float64 CODEC(ZSTD) COMMENT 'How many events were of the fourth most frequent topic; 0: none' AFTER topic_top4,
    ADD COLUMN IF NOT EXISTS topic_top5       Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'Fifth most frequent topic: number of a CameraTopic; NaN: none' AFTER topic_top4_count,
    ADD COLUMN IF NOT EXISTS topic_top5_count Float64 CODEC(ZSTD) COMMENT 'How many events were of the fifth most frequent topic; 0: none' AFTER topic_top5,
    ADD COLUMN IF NOT EXISTS topic_top6       Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'Sixth most frequent topic: number of a CameraTopic; NaN: none' AFTER topic_top5_count,
    ADD COLUMN IF NOT EXISTS topic_top6_count Float64 CODEC(ZSTD) COMMENT 'How many events were of the sixth most frequent topic; 0: none' AFTER topic_top6,
    ADD COLUMN IF NOT EXISTS tampered_last    Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'Whether the picture is lost, moved, dark, bright or blurred: 1 or 0, as told last; NaN: not told' AFTER confidence_mean,
    ADD COLUMN IF NOT EXISTS tampered_last_ms Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'When that was told, in ms since 1970 (UTC); NaN: not told' AFTER tampered_last,
    ADD COLUMN IF NOT EXISTS tamper_s_max     Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'For how long it was, in s: greatest that was told; NaN: not told' AFTER tampered_last_ms,
    ADD COLUMN IF NOT EXISTS tamper_s_last    Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'For how long it was, in s: as told last; NaN: not told' AFTER tamper_s_max,
    ADD COLUMN IF NOT EXISTS tamper_s_last_ms Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'When that was told, in ms since 1970 (UTC); NaN: not told' AFTER tamper_s_last,
    ADD COLUMN IF NOT EXISTS people_max       Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'People that are there: greatest number; NaN: not counted' AFTER tamper_s_last_ms,
    ADD COLUMN IF NOT EXISTS people_last      Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'People that are there: as counted last; NaN: not counted' AFTER people_max,
    ADD COLUMN IF NOT EXISTS loitering_s_max  Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'For how long an object has loitered, in s: greatest; NaN: none told' AFTER people_last,
    ADD COLUMN IF NOT EXISTS crossings_sum    Float64 DEFAULT nan CODEC(ZSTD) COMMENT 'Objects that crossed a line; NaN: not counted' AFTER loitering_s_max;

ALTER TABLE camera_event_windows COMMENT COLUMN window 'Window: 1m, or 5m that steps on every minute';
ALTER TABLE camera_event_windows COMMENT COLUMN entity_id 'Camera, or one of its rules (line, field, counter) as camera:rule';
