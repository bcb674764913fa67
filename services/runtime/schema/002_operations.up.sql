-- What became of every observation, in all domains.

CREATE OR REPLACE VIEW v_ledger
(
    domain          String COMMENT 'Domain',
    kind            String COMMENT 'Kind of the observations',
    topic           String COMMENT 'Topic of the observations',
    kafka_partition UInt32 COMMENT 'Partition',
    next_offset     Int64 COMMENT 'Counted up to here, exclusive',
    read            UInt64 COMMENT 'Observations read; a record that cannot be decoded counts as one',
    folded          UInt64 COMMENT 'Folded into windows',
    duplicate       UInt64 COMMENT 'Of frames that were folded before',
    late            UInt64 COMMENT 'Beyond the allowed lateness: on the late topic',
    dead_lettered   UInt64 COMMENT 'Not valid, from the future or not to be decoded: on the dead-letter topic',
    difference      Int64 COMMENT 'Observations unaccounted for; anything but 0 is a fault'
)
COMMENT 'What became of every observation, by topic and partition, at the last checkpoint'
AS SELECT _database AS domain, kind, topic, kafka_partition, next_offset, read, folded, duplicate, late, dead_lettered,
    toInt64(read) - toInt64(folded) - toInt64(duplicate) - toInt64(late) - toInt64(dead_lettered) AS difference
FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^ledger$') FINAL;

CREATE OR REPLACE VIEW v_dead_letters
(
    domain          String COMMENT 'Domain',
    kind            String COMMENT 'Kind of the observations',
    topic           String COMMENT 'Topic that the record came from',
    kafka_partition UInt32 COMMENT 'Partition',
    kafka_offset    Int64 COMMENT 'Offset; the raw record is on the dead-letter topic',
    kafka_time      DateTime64(3, 'UTC') COMMENT 'Time of the record in Kafka',
    error_class     String COMMENT 'malformed, invalid or future',
    error           String COMMENT 'Field, value and reason of the first observation refused',
    observations    UInt32 COMMENT 'Observations refused in this record',
    indices         Array(UInt32) COMMENT 'Their indices in the record, the first 100',
    size_bytes      UInt32 COMMENT 'Size of the value of the record'
)
COMMENT 'Records that were refused in whole or in part'
AS SELECT _database AS domain, kind, topic, kafka_partition, kafka_offset, kafka_time, error_class, error, observations,
    indices, size_bytes
FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^dead_letters$') FINAL;
