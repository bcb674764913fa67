-- What the response plans tell to whom.

CREATE TABLE IF NOT EXISTS notifications
(
    id                UUID COMMENT 'Incident, step of the plan and receiver: the same log gives the same id',
    city              LowCardinality(String) COMMENT 'City',
    incident_id       UUID COMMENT 'The incident: a row of v_incidents',
    incident_revision UInt32 COMMENT 'Version of the incident that made it',
    plan              LowCardinality(String) COMMENT 'Response plan',
    plan_version      UInt32 COMMENT 'Version of the plan',
    level             LowCardinality(String) COMMENT 'Level of the plan; empty: the incident is below all of them',
    receiver          LowCardinality(String) COMMENT 'Who is told',
    reason            LowCardinality(String) COMMENT 'opened, raised, lowered, escalated, ended or withdrawn',
    clock             LowCardinality(String) COMMENT 'The clock that ran out: acknowledge, dispatch, feedback or close; empty: none',
    due_time          DateTime64(3, 'UTC') COMMENT 'When that clock ran out; 1970: none did',
    time              DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'When it was decided, by the times of the log',
    severity          LowCardinality(String) COMMENT 'minor, moderate, severe or extreme, after CAP 1.2',
    latitude          Float64 COMMENT 'Middle of the incident, degrees north',
    longitude         Float64 COMMENT 'Middle of the incident, degrees east',
    title             String COMMENT 'What the incident is, in one line',
    text              String COMMENT 'One sentence for people',
    stored_time       DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (city, incident_id, id)
COMMENT 'What the response plans told to whom';
