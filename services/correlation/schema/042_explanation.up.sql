-- What an incident says to people.

ALTER TABLE incidents ADD COLUMN IF NOT EXISTS explanation String DEFAULT '' COMMENT 'What happened where and since when, for people; empty: stored by a version without it' AFTER title;
ALTER TABLE shadow_incidents ADD COLUMN IF NOT EXISTS explanation String DEFAULT '' COMMENT 'What happened where and since when, for people; empty: stored by a version without it' AFTER title;
