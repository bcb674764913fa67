-- The dead letters, and which of them were sent again.

CREATE OR REPLACE VIEW v_dead_letters
(
    domain          String COMMENT 'Domain',
    kind            String COMMENT 'Kind of the observations',
    topic           String COMMENT 'Topic that the record came from',
    kafka_partition UInt32 COMMENT 'Partition',
    kafka_offset    Int64 COMMENT 'Offset; the raw record is on the dead-letter topic',
    kafka_time      DateTime64(3, 'UTC') COMMENT 'Time of the record in Kafka',
    error_class     String COMMENT 'malformed, invalid, future or limit',
    error           String COMMENT 'Field, value and reason of the first observation refused',
    observations    UInt32 COMMENT 'Observations refused in this record',
    indices         Array(UInt32) COMMENT 'Their indices in the record, the first 100',
    size_bytes      UInt32 COMMENT 'Size of the value of the record',
    stored_time     DateTime('UTC') COMMENT 'When it was put aside, by wall clock',
    replayed_time   Nullable(DateTime64(3, 'UTC')) COMMENT 'When its observations were sent again last; NULL: they were not',
    replay_offset   Nullable(Int64) COMMENT 'Offset of the first frame that was sent for it, in the same partition'
)
COMMENT 'Records that were refused in whole or in part'
AS SELECT letter.domain, letter.kind, letter.topic, letter.kafka_partition, letter.kafka_offset, kafka_time,
    error_class, error, observations, indices, size_bytes, stored_time, replayed_time, replay_offset
FROM
(
    SELECT _database AS domain, kind, topic, kafka_partition, kafka_offset, kafka_time, error_class, error,
        observations, indices, size_bytes, stored_time
    FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^dead_letters$') FINAL
) AS letter
LEFT JOIN
(
    SELECT _database AS domain, topic, kafka_partition, kafka_offset,
        toNullable(replayed_time) AS replayed_time, toNullable(replay_offset) AS replay_offset
    FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^dead_letter_replays$') FINAL
) AS replay USING (domain, topic, kafka_partition, kafka_offset);
