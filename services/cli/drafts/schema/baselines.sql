-- What is normal for an entity in an hour of the week, as of a day; computed once, never changed.

CREATE TABLE IF NOT EXISTS baselines
(
    kind            LowCardinality(String) COMMENT 'Kind of the observations',
    kafka_partition UInt32 COMMENT 'Partition of the observations that it was computed from',
    as_of           DateTime('UTC') COMMENT 'Only windows that ended by then were used',
    city            LowCardinality(String) COMMENT 'City',
    entity_id       String COMMENT 'Entity; empty in the row that marks a finished baseline',
    hour_of_week    UInt8 COMMENT 'Hour of the local week, 0 (Monday 00:00) to 167; 255 in the marking row',
    median          Float64 COMMENT 'Median of the measure',
    mad             Float64 COMMENT 'Median absolute deviation from the median',
    samples         UInt32 COMMENT 'Windows used; in the marking row: rows of this baseline'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
PARTITION BY toYear(as_of)
ORDER BY (kind, kafka_partition, as_of, city, entity_id, hour_of_week)
COMMENT 'Baselines, each dated: a replay uses the same ones';
