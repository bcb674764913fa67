-- Signals with what was known of their entities; and words of before that were too narrow.

CREATE OR REPLACE VIEW v_signals
(
    domain           String COMMENT 'Domain that found it',
    id               UUID COMMENT 'The same finding has the same id on every run',
    city             String COMMENT 'City',
    kind             String COMMENT 'Kind of the observations',
    type             String COMMENT 'What was found: the name of the detector',
    entity_id        String COMMENT 'What it is about',
    window           String COMMENT 'Name of the window',
    start_time       DateTime64(3, 'UTC') COMMENT 'Start of the window, inclusive',
    end_time         DateTime64(3, 'UTC') COMMENT 'End of the window, exclusive',
    state            String COMMENT 'raised, or retracted by a late observation',
    severity         String COMMENT 'minor, moderate, severe or extreme, after CAP 1.2',
    score            Float64 COMMENT 'How far beyond the threshold, 0 (just) to 1',
    latitude         Float64 COMMENT 'Degrees north; NaN: not known',
    longitude        Float64 COMMENT 'Degrees east; NaN: not known',
    h3_cell          UInt64 COMMENT 'H3 cell of resolution 9; 0: not known',
    evidence         Array(Tuple(measure String, value Float64, threshold Float64, expected Float64)) COMMENT 'The figures behind it; NaN: none',
    revision         UInt32 COMMENT 'Number of observations weighed: in its window and in all that its detector looks back at',
    detector_version String COMMENT 'Version of the detector',
    model            String COMMENT 'What normal was computed from; empty: no model',
    attributes       Map(String, String) COMMENT 'What was known of the entity out of its labels: road, line, road_m and line_m (metres along it), building, cabinet, district'
)
COMMENT 'Signals of all domains, each in its final revision'
AS SELECT _database AS domain, id, city, kind, type, entity_id, window, start_time, end_time, state, severity, score,
    latitude, longitude, h3_cell, evidence, revision, detector_version, model, attributes
FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^signals$') FINAL;

CREATE OR REPLACE VIEW v_dead_letters
(
    domain          String COMMENT 'Domain',
    kind            String COMMENT 'Kind of the observations',
    topic           String COMMENT 'Topic that the record came from',
    kafka_partition UInt32 COMMENT 'Partition',
    kafka_offset    Int64 COMMENT 'Offset; the raw record is on the dead-letter topic',
    kafka_time      DateTime64(3, 'UTC') COMMENT 'Time of the record in Kafka',
    error_class     String COMMENT 'malformed, invalid, future, unknown (nobody told of the entity) or limit (one entity too many)',
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
    dead_lettered      UInt64 COMMENT 'Not valid, from the future, of an unknown entity, one entity too many or not to be decoded: on the dead-letter topic',
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
