-- What all domains have in common, in one view each: every database with such a table takes part, a new one too.

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
    revision         UInt32 COMMENT 'Number of observations weighed: in the window and, where a detector looks at it, in the one before',
    detector_version String COMMENT 'Version of the detector',
    model            String COMMENT 'What normal was computed from; empty: no model'
)
COMMENT 'Signals of all domains, each in its final revision'
AS SELECT _database AS domain, id, city, kind, type, entity_id, window, start_time, end_time, state, severity, score,
    latitude, longitude, h3_cell, evidence, revision, detector_version, model
FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^signals$') FINAL;

CREATE OR REPLACE VIEW v_entities
(
    domain       String COMMENT 'Domain that it belongs to',
    city         String COMMENT 'City',
    entity_id    String COMMENT 'Entity id, as observations carry it',
    type         String COMMENT 'What it is, in the words of its domain',
    display_name String COMMENT 'For people to read',
    latitude     Float64 COMMENT 'Degrees north; NaN: not known',
    longitude    Float64 COMMENT 'Degrees east; NaN: not known',
    h3_cell      UInt64 COMMENT 'H3 cell of resolution 9; 0: not known',
    numbers      Map(String, Float64) COMMENT 'Facts in numbers; the name carries the unit',
    labels       Map(String, String) COMMENT 'Facts in words',
    update_time  DateTime64(3, 'UTC') COMMENT 'When this version was accepted, by wall clock'
)
COMMENT 'Sensors, segments, gates, cameras and zones of all domains as they are now'
AS SELECT _database AS domain, city, entity_id, type, display_name, latitude, longitude, h3_cell, numbers, labels,
    update_time
FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^entities$') FINAL;
