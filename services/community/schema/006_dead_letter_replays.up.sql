-- Which dead letters were sent again.

CREATE TABLE IF NOT EXISTS dead_letter_replays
(
    topic           LowCardinality(String) COMMENT 'Topic that the record came from, and that its observations went to again',
    kafka_partition UInt32 COMMENT 'Partition of both',
    kafka_offset    Int64 COMMENT 'Offset of the record that was refused',
    replay_offset   Int64 COMMENT 'Offset of the first frame that was sent for it',
    observations    UInt32 COMMENT 'Observations sent; what was refused again is a dead letter of its own',
    replayed_time   DateTime64(3, 'UTC') COMMENT 'When, by the clock of who sent it'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(replayed_time)
ORDER BY (topic, kafka_partition, kafka_offset)
TTL toDateTime(replayed_time) + INTERVAL 90 DAY
COMMENT 'Dead letters whose observations were sent again (urban dlq replay); a letter that is sent twice is folded once';

ALTER TABLE dead_letters COMMENT COLUMN error_class 'malformed, invalid, future or limit';
