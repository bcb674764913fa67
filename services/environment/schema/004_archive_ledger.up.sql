-- What the archiver stored, held against what the processor counted.

CREATE TABLE IF NOT EXISTS archive_ledger
(
    kind            LowCardinality(String) COMMENT 'Kind of the observations',
    topic           LowCardinality(String) COMMENT 'Topic of the observations',
    kafka_partition UInt32 COMMENT 'Partition',
    next_offset     Int64 COMMENT 'Stored up to here, exclusive',
    read            UInt64 COMMENT 'Observations read, as the processor counts them; those of a record that was read again count once',
    archived        UInt64 COMMENT 'Observations stored: all but those that a processor refuses as malformed, invalid or future',
    from_start      Bool COMMENT 'Counted from the first record of the log; otherwise there is nothing to compare with',
    compared_offset Int64 COMMENT 'A checkpoint of the processor: both had counted up to here, exclusive, when they were compared; -1: not yet',
    difference      Int64 COMMENT 'At that offset: observations that the processor read and the archiver did not, or else that it should have stored'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(next_offset)
ORDER BY (topic, kafka_partition)
COMMENT 'Books of the archiver by partition, written after the observations that they count';

ALTER TABLE air_quality MODIFY COMMENT 'Observations of air quality, each place of the log once; of a frame that was sent twice, both places';
