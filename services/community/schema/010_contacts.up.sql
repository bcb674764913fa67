-- Who asked who was together with whom, and what was found. What was found is no analyst's: a table whose name does not
-- begin with a letter gets no view.

CREATE TABLE IF NOT EXISTS contact_queries
(
    id           UUID COMMENT 'Query',
    city         LowCardinality(String) COMMENT 'City',
    asked_time   DateTime64(3, 'UTC') COMMENT 'When it was asked, by wall clock',
    asked_by     String COMMENT 'Who asked',
    reason       String COMMENT 'Why, in the words of who asked',
    case_digest  String COMMENT 'SHA-256 of the keyed hashes of the case: an auditor who knows them can tell whom it was about',
    since_time   DateTime64(3, 'UTC') COMMENT 'Contacts were looked for from here on, two days before onset',
    until_time   DateTime64(3, 'UTC') COMMENT 'and up to here, exclusive',
    expires_time DateTime64(3, 'UTC') COMMENT 'When what was found is erased'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
PARTITION BY toYYYYMM(asked_time)
ORDER BY (city, asked_time, id)
TTL toDateTime(asked_time) + INTERVAL 3 YEAR
COMMENT 'Queries for contacts: written before any passage is read';

CREATE TABLE IF NOT EXISTS _contacts
(
    query_id     UUID COMMENT 'Query',
    city         LowCardinality(String) COMMENT 'City',
    person_a     Float64 CODEC(ZSTD) COMMENT 'First 52 bits of the keyed hash of the contact, plus 2^52',
    person_b     Float64 CODEC(ZSTD) COMMENT 'Next 52 bits of the keyed hash of the contact, plus 2^52',
    most_s       Float64 CODEC(ZSTD) COMMENT 'Longest time together with the case within any 24 hours, in s',
    first_time   DateTime64(3, 'UTC') COMMENT 'When they were first in the same building',
    last_time    DateTime64(3, 'UTC') COMMENT 'When they were last in the same building',
    expires_time DateTime64(3, 'UTC') COMMENT 'When this row is erased'
)
ENGINE = ${REPLICATED}ReplacingMergeTree
ORDER BY (city, query_id, person_a, person_b)
TTL toDateTime(expires_time)
COMMENT 'Contacts of a case, for those who asked, until they expire';
