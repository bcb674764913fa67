-- The ledger with the books of the archiver beside it.

CREATE OR REPLACE VIEW v_ledger
(
    domain             String COMMENT 'Domain',
    kind               String COMMENT 'Kind of the observations',
    topic              String COMMENT 'Topic of the observations',
    kafka_partition    UInt32 COMMENT 'Partition',
    next_offset        Int64 COMMENT 'Counted up to here, exclusive',
    read               UInt64 COMMENT 'Observations read; a record that cannot be decoded counts as one',
    folded             UInt64 COMMENT 'Folded into windows',
    duplicate          UInt64 COMMENT 'Of frames that were folded before',
    late               UInt64 COMMENT 'Beyond the allowed lateness: on the late topic',
    dead_lettered      UInt64 COMMENT 'Not valid, from the future, one entity too many or not to be decoded: on the dead-letter topic',
    difference         Int64 COMMENT 'Observations unaccounted for; anything but 0 is a fault',
    archive_offset     Nullable(Int64) COMMENT 'Stored by the archiver up to here, exclusive; NULL: nothing yet',
    archived           Nullable(UInt64) COMMENT 'Observations stored up to there; also repeated and late ones, which are as sound as others',
    compared_offset    Nullable(Int64) COMMENT 'Checkpoint at which the archiver was compared with the processor; NULL: not yet, or not counted from the start',
    archive_difference Nullable(Int64) COMMENT 'Observations missing in the archive at that checkpoint, negative: too many; anything but 0 is a fault; NULL: not yet known'
)
COMMENT 'What became of every observation, by topic and partition, at the last checkpoint, and what the archiver stored'
AS SELECT ledger.domain, ledger.kind, ledger.topic, ledger.kafka_partition, ledger.next_offset, ledger.read, folded,
    duplicate, late, dead_lettered,
    toInt64(ledger.read) - toInt64(folded) - toInt64(duplicate) - toInt64(late) - toInt64(dead_lettered) AS difference,
    archive.next_offset AS archive_offset, archive.archived AS archived,
    if(archive.compared_offset >= 0, archive.compared_offset, NULL) AS compared_offset,
    if(archive.compared_offset >= 0, archive.difference, NULL) AS archive_difference
FROM
(
    SELECT _database AS domain, kind, topic, kafka_partition, next_offset, read, folded, duplicate, late, dead_lettered
    FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^ledger$') FINAL
) AS ledger
LEFT JOIN
(
    SELECT _database AS domain, topic, kafka_partition, toNullable(next_offset) AS next_offset,
        toNullable(archived) AS archived, toNullable(compared_offset) AS compared_offset,
        toNullable(difference) AS difference
    FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^archive_ledger$') FINAL
) AS archive USING (domain, topic, kafka_partition);
