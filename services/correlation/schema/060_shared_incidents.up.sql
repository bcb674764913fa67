-- What this city and a neighbour see of one event.

CREATE TABLE IF NOT EXISTS shared_incidents
(
    id            UUID COMMENT 'The first incident of each of the two cities: both find the same id',
    city          LowCardinality(String) COMMENT 'The city whose memory this is',
    neighbour     LowCardinality(String) COMMENT 'The other city',
    family        LowCardinality(String) COMMENT 'Family of the rules that found it: crowd, air, or the name of the rule',
    state         LowCardinality(String) COMMENT 'open, resolved (in both cities), withdrawn (one has no part in it any more) or superseded',
    severity      LowCardinality(String) COMMENT 'The greatest of its incidents: minor, moderate, severe or extreme, after CAP 1.2',
    start_time    DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'The earliest start of its incidents, inclusive',
    end_time      DateTime64(3, 'UTC') CODEC(Delta, ZSTD) COMMENT 'The latest end of its incidents so far, exclusive',
    h3_cells      Array(UInt64) COMMENT 'H3 cells of resolution 7 at the border in which it lies',
    own_ids       Array(UUID) COMMENT 'Its incidents in this city, by start and id: rows of v_incidents',
    neighbour_ids Array(UUID) COMMENT 'Its incidents in the other city, by start and id; nothing else of that city names them here',
    own_people       UInt32 COMMENT 'People who were counted in this city; 0: nobody counts them, or they are fewer than 10 in each incident',
    neighbour_people UInt32 COMMENT 'The same as the other city tells it',
    superseded_by String COMMENT 'Id of the shared incident that took its place; empty: none',
    revision      UInt32 COMMENT 'Counts its versions in this city; the row with the greatest is the final one',
    document      String CODEC(ZSTD(3)) COMMENT 'The whole of it, as the JSON form of urban.correlation.v1.SharedIncident',
    stored_time   DateTime('UTC') MATERIALIZED now() COMMENT 'When the row was stored, by wall clock'
)
ENGINE = ${REPLICATED}ReplacingMergeTree(revision)
ORDER BY (city, neighbour, id)
COMMENT 'Incidents at the border that a neighbour city sees as well, in every version';
