-- A row of the audit is of what was read when it came to be, and names who planned.

ALTER TABLE incident_audit COMMENT COLUMN id 'Incident, what changed, and by which request, or by which record of which topic: a repetition has the same';
ALTER TABLE incident_audit COMMENT COLUMN actor 'Who did it, or announced or cancelled a planned event; empty: the correlation itself';
