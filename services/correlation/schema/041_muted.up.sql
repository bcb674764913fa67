-- Why nobody is told of an incident that stands.

ALTER TABLE incidents ADD COLUMN IF NOT EXISTS rate_limited Bool DEFAULT false COMMENT 'Whether it is beyond the limit of its rule: nobody is told' AFTER acknowledge_time;
ALTER TABLE incidents ADD COLUMN IF NOT EXISTS flap_count UInt32 DEFAULT 0 COMMENT 'How many like it began shortly before it, if that is flapping: nobody is told; 0: it does not flap' AFTER rate_limited;
ALTER TABLE incidents ADD COLUMN IF NOT EXISTS inhibited_by String DEFAULT '' COMMENT 'Id of the incident that inhibits it: nobody is told; empty: none' AFTER flap_count;

ALTER TABLE incident_audit COMMENT COLUMN what 'opened, acknowledged, assigned, dispatched, feedback, closed, resolved, reopened, merged, superseded, retracted, severity, planned, unplanned, limited, unlimited, surplus, flapping, steady, inhibited, uninhibited or settled';
