-- Clusters of signals that no rule asked for, and which incidents stand on the same signals.

CREATE TABLE IF NOT EXISTS findings
(
    id                   UUID COMMENT 'City, version of the method, first scan and first case: the same log gives the same id',
    city                 LowCardinality(String) COMMENT 'City',
    method               LowCardinality(String) COMMENT 'How it was found: space_time_permutation (Kulldorff and others, 2005)',
    method_version       UInt32 COMMENT 'Version of the settings of the method',
    state                LowCardinality(String) COMMENT 'standing (the last scan has found it), over (a later one has not) or retracted (it never was)',
    title                String COMMENT 'One sentence for people',
    start_time           DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of its time, in hours in which windows ended; inclusive',
    end_time             DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End of its time, exclusive',
    latitude             Float64 COMMENT 'Middle, a place at which something began, degrees north',
    longitude            Float64 COMMENT 'Middle, degrees east',
    radius_m             Float64 COMMENT 'Distance from the middle to the farthest place at which something began, in m',
    p_value              Float64 COMMENT 'How likely chance alone makes a cluster as strong anywhere in the city, in one scan',
    replicates           UInt32 COMMENT 'How often it was tried by chance: p_value is a multiple of 1 / (replicates + 1)',
    observed             UInt32 COMMENT 'How often something began: places at which signals followed each other count once',
    expected             Float64 COMMENT 'How often was to be expected at these places and times',
    log_likelihood_ratio Float64 COMMENT 'The greater, the clearer',
    first_found_time     DateTime64(3, 'UTC') COMMENT 'Event time of the scan that found it first',
    last_found_time      DateTime64(3, 'UTC') COMMENT 'Event time of the scan that found it last',
    signal_ids           Array(UUID) COMMENT 'The signals behind it, by end and id: rows of v_signals; of very many those with which something began',
    case_ids             Array(UUID) COMMENT 'Those of them with which something began',
    query                String CODEC(ZSTD(3)) COMMENT 'A query that returns exactly the windows behind these signals',
    revision             UInt32 COMMENT 'Counts its versions; the row with the greatest is the final one',
    document             String CODEC(ZSTD(3)) COMMENT 'The whole finding, as the JSON form of urban.correlation.v1.Finding',
    stored_time          DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(first_found_time)
ORDER BY (city, id)
COMMENT 'Clusters of signals that no rule asked for, in every version; they are no incidents';

CREATE OR REPLACE VIEW finding_incidents
(
    city           String COMMENT 'City',
    finding_id     UUID COMMENT 'The finding: a row of v_findings',
    incident_id    UUID COMMENT 'An incident that stands on signals of it: a row of v_incidents',
    rule           String COMMENT 'Name of the rule that found the incident',
    shared_signals UInt64 COMMENT 'How many signals both list'
)
COMMENT 'What rules know of the clusters that were found without them'
AS SELECT f.city AS city, f.finding_id AS finding_id, i.incident_id AS incident_id, i.rule AS rule,
    count() AS shared_signals
FROM
(
    SELECT city, id AS finding_id, arrayJoin(signal_ids) AS signal_id FROM findings FINAL WHERE state != 'retracted'
) AS f
INNER JOIN
(
    SELECT city, id AS incident_id, rule, arrayJoin(signal_ids) AS signal_id FROM incidents FINAL
    WHERE state NOT IN ('superseded', 'retracted', 'merged')
) AS i ON f.city = i.city AND f.signal_id = i.signal_id
GROUP BY city, finding_id, incident_id, rule;
