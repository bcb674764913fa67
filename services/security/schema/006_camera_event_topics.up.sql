-- What a camera told of most often.

ALTER TABLE camera_event_windows
    ADD COLUMN IF NOT EXISTS topic_distinct   Float64 CODEC(ZSTD) COMMENT 'Number of different topics, exact' AFTER revision,
    ADD COLUMN IF NOT EXISTS topic_top1       Float64 CODEC(ZSTD) COMMENT 'Most frequent topic: number of a CameraTopic, of equally frequent ones the smallest; NaN: none' AFTER topic_distinct,
    ADD COLUMN IF NOT EXISTS topic_top1_count Float64 CODEC(ZSTD) COMMENT 'How many events were of the most frequent topic; 0: none' AFTER topic_top1,
    ADD COLUMN IF NOT EXISTS topic_top2       Float64 CODEC(ZSTD) COMMENT 'Second most frequent topic: number of a CameraTopic; NaN: none' AFTER topic_top1_count,
    ADD COLUMN IF NOT EXISTS topic_top2_count Float64 CODEC(ZSTD) COMMENT 'How many events were of the second most frequent topic; 0: none' AFTER topic_top2,
    ADD COLUMN IF NOT EXISTS topic_top3       Float64 CODEC(ZSTD) COMMENT 'Third most frequent topic: number of a CameraTopic; NaN: none' AFTER topic_top2_count,
    ADD COLUMN IF NOT EXISTS topic_top3_count Float64 CODEC(ZSTD) COMMENT 'How many events were of the third most frequent topic; 0: none' AFTER topic_top3;
