-- What the domains' signals mean together.

CREATE TABLE IF NOT EXISTS incidents
(
    id               UUID COMMENT 'City, rule, version and first signal: the same log gives the same id',
    city             LowCardinality(String) COMMENT 'City',
    rule             LowCardinality(String) COMMENT 'Name of the rule that found it',
    rule_version     UInt32 COMMENT 'Version of the rule',
    state            LowCardinality(String) COMMENT 'open, acknowledged, resolved, superseded (another took its place) or retracted',
    severity         LowCardinality(String) COMMENT 'minor, moderate, severe or extreme, after CAP 1.2',
    title            String COMMENT 'One line for people',
    start_time       DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'Start of its first window, inclusive',
    end_time         DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'End of its last window so far, exclusive',
    latitude         Float64 COMMENT 'Middle of its signals, degrees north',
    longitude        Float64 COMMENT 'Middle of its signals, degrees east',
    extent_m         Float64 COMMENT 'Distance from the middle to the farthest signal, in m',
    signal_ids       Array(UUID) COMMENT 'Its signals, by start and id: rows of v_signals; of very many the first and the highest scores',
    query            String CODEC(ZSTD(3)) COMMENT 'A query that returns exactly the windows behind these signals',
    revision         UInt32 COMMENT 'Counts its versions; the row with the greatest is the final one',
    superseded_by    String COMMENT 'Id of the incident that took its place; empty: none',
    acknowledged_by  String COMMENT 'Who took it over; empty: nobody',
    acknowledge_time DateTime64(3, 'UTC') COMMENT 'When it was taken over, by wall clock; 1970: not yet',
    document         String CODEC(ZSTD(3)) COMMENT 'The whole incident, as the JSON form of urban.correlation.v1.Incident',
    stored_time      DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, rule, id)
COMMENT 'Incidents across the domains, in every version';
