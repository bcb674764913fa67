-- What rules would have found that are only tried (mode: shadow), and when they were.

CREATE TABLE IF NOT EXISTS shadow_incidents
(
    id               UUID COMMENT 'City, rule, version and first signal: the id that the incident would have',
    city             LowCardinality(String) COMMENT 'City',
    rule             LowCardinality(String) COMMENT 'Name of the rule that is tried',
    rule_version     UInt32 COMMENT 'Version of the rule',
    state            LowCardinality(String) COMMENT 'open, resolved, superseded or retracted; nobody can take it over',
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
    acknowledged_by  String COMMENT 'Empty: it is no incident that anybody could take over',
    acknowledge_time DateTime64(3, 'UTC') COMMENT '1970, for the same reason',
    rate_limited     Bool COMMENT 'Whether it would be beyond the limit of its rule: nobody would be told',
    flap_count       UInt32 COMMENT 'How many like it began shortly before it, if that is flapping; 0: it does not flap',
    inhibited_by     String COMMENT 'Empty: what is only tried stands alone',
    document         String CODEC(ZSTD(3)) COMMENT 'The whole of it, as the JSON form of urban.correlation.v1.Incident',
    stored_time      DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(start_time)
ORDER BY (city, rule, rule_version, id)
COMMENT 'What rules that are only tried would have found, in every version; these are no incidents';

CREATE TABLE IF NOT EXISTS shadow_runs
(
    rule         LowCardinality(String) COMMENT 'Name of the rule',
    rule_version UInt32 COMMENT 'Version of the rule',
    what         LowCardinality(String) COMMENT 'began (it is tried from now on), promoted (it is in force from now on) or ended (neither)',
    time         DateTime64(3, 'UTC') COMMENT 'Event time that the correlation had come to; 1970: not known yet',
    log_offset   UInt64 COMMENT 'Record of the signal topic before which it took effect',
    file         String COMMENT 'File in the folder of rules that says so; empty: that it is gone says so',
    stored_time  DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (rule, rule_version, log_offset, what)
COMMENT 'When rules were tried, and what came of it';
