-- Who did what with incidents, when and why; what the correlation itself changed stands between it.

CREATE TABLE IF NOT EXISTS incident_audit
(
    id          UUID COMMENT 'Incident, what was done, by which request or at which event time: a repetition has the same',
    city        LowCardinality(String) COMMENT 'City',
    incident_id UUID COMMENT 'The incident: a row of v_incidents',
    what        LowCardinality(String) COMMENT 'opened, acknowledged, assigned, dispatched, feedback, closed, resolved, reopened, merged, superseded, retracted, severity, planned, unplanned or settled',
    actor       String COMMENT 'Who; empty: the correlation itself',
    time        DateTime64(3, 'UTC') COMMENT 'When: by wall clock where somebody did it, else event time',
    why         String COMMENT 'What they said, or what the correlation found',
    state       LowCardinality(String) COMMENT 'State of the incident from then on',
    revision    UInt32 COMMENT 'The version of the incident that showed it first',
    request_id  String COMMENT 'Request that asked for it (AIP-155); empty: the correlation itself',
    stored_time DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (city, incident_id, id)
COMMENT 'Every change of an incident: who, what, when, why';

ALTER TABLE incidents COMMENT COLUMN state 'open, acknowledged, resolved, reopened, merged, superseded (another took its place) or retracted';
