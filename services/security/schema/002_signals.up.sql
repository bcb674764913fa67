-- What the detectors of security found.

CREATE TABLE IF NOT EXISTS signals
(
    id               UUID COMMENT 'The same finding has the same id on every run',
    city             LowCardinality(String) COMMENT 'City',
    kind             LowCardinality(String) COMMENT 'Kind of the observations',
    type             LowCardinality(String) COMMENT 'What was found: the name of the detector',
    entity_id        String COMMENT 'Camera',
    window           LowCardinality(String) COMMENT 'Name of the window',
    start_time       DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of the window, inclusive',
    end_time         DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End of the window, exclusive',
    state            LowCardinality(String) COMMENT 'raised, or retracted by a late observation',
    severity         LowCardinality(String) COMMENT 'minor, moderate, severe or extreme, after CAP 1.2',
    score            Float64 COMMENT 'How far beyond the threshold, 0 (just) to 1',
    latitude         Float64 COMMENT 'Degrees north; NaN: not known',
    longitude        Float64 COMMENT 'Degrees east; NaN: not known',
    h3_cell          UInt64 COMMENT 'H3 cell of resolution 9; 0: not known',
    evidence         Array(Tuple(measure String, value Float64, threshold Float64, expected Float64)) COMMENT 'The figures behind it; NaN: none',
    revision         UInt32 COMMENT 'Number of observations weighed: in the window and, where a detector looks at it, in the one before',
    detector_version LowCardinality(String) COMMENT 'Version of the detector',
    model            LowCardinality(String) COMMENT 'What normal was computed from; empty: no model',
    version          UInt64 MATERIALIZED toUInt64(revision) * 2 + (state = 'retracted') COMMENT 'The row with the greatest is the final one',
    stored_time      DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock; a replay of old days is kept as long as news'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(version)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, type, entity_id, start_time, id)
TTL stored_time + INTERVAL 13 MONTH
COMMENT 'Signals of security, in every revision';
