-- How soon help comes, and what the order of a credential's uses tells: where and when, never who.

CREATE OR REPLACE VIEW response_times
(
    city           String COMMENT 'City',
    service        String COMMENT 'Service: police, fire or ambulance',
    area           String COMMENT 'Area, as an H3 cell in hexadecimal digits where the feed knew the place; empty: the whole city',
    month          Date COMMENT 'Month of UTC',
    calls          Float64 COMMENT 'Calls',
    dispatches     UInt64 COMMENT 'How often help was sent',
    dispatch_p50_s Float64 COMMENT 'Time from call to dispatch in s: median; NaN: fewer than ten',
    dispatch_p90_s Float64 COMMENT 'Time from call to dispatch in s: 90th percentile; NaN: fewer than ten',
    arrivals       UInt64 COMMENT 'How often help arrived, with its time since the call',
    arrival_p50_s  Float64 COMMENT 'Time from dispatch to arrival in s: median; NaN: fewer than ten',
    arrival_p90_s  Float64 COMMENT 'Time from dispatch to arrival in s: 90th percentile; NaN: fewer than ten',
    response_p50_s Float64 COMMENT 'Time from call to arrival in s: median; NaN: fewer than ten',
    response_p90_s Float64 COMMENT 'Time from call to arrival in s: 90th percentile; NaN: fewer than ten'
)
COMMENT 'How soon help comes, by service, area and month, by the observations of the last 90 days'
AS WITH events AS
(
    SELECT city, splitByChar(':', entity_id)[1] AS service, splitByChar(':', entity_id)[2] AS area,
        toStartOfMonth(time) AS month, calls AS calls, dispatch_s AS d, arrival_s AS a, response_s AS r
    FROM (
        SELECT * FROM emergency_call FINAL
        LIMIT 1 BY city, source_id, sequence, kafka_partition, kafka_index,
            if(source_id = '' OR sequence = 0, kafka_offset, -1)
    )
)
SELECT city, service, area, month, sum(ifNotFinite(calls, 0)) AS calls, countIf(NOT isNaN(d)) AS dispatches,
    if(dispatches < 10, nan, quantileExactInclusiveIf(0.5)(d, NOT isNaN(d))) AS dispatch_p50_s,
    if(dispatches < 10, nan, quantileExactInclusiveIf(0.9)(d, NOT isNaN(d))) AS dispatch_p90_s,
    countIf(NOT isNaN(r)) AS arrivals,
    if(countIf(NOT isNaN(a)) < 10, nan, quantileExactInclusiveIf(0.5)(a, NOT isNaN(a))) AS arrival_p50_s,
    if(countIf(NOT isNaN(a)) < 10, nan, quantileExactInclusiveIf(0.9)(a, NOT isNaN(a))) AS arrival_p90_s,
    if(arrivals < 10, nan, quantileExactInclusiveIf(0.5)(r, NOT isNaN(r))) AS response_p50_s,
    if(arrivals < 10, nan, quantileExactInclusiveIf(0.9)(r, NOT isNaN(r))) AS response_p90_s
FROM events
GROUP BY GROUPING SETS ((city, service, area, month), (city, service, month));

CREATE OR REPLACE VIEW credential_findings
(
    city      String COMMENT 'City',
    system    String COMMENT 'System whose gates and credentials belong together',
    gate      Float64 COMMENT 'Number of the gate in its system; NaN: not told',
    time      DateTime64(3, 'UTC') COMMENT 'Moment of the use that completes it',
    type      String COMMENT 'brute_force, anti_passback, impossible_travel, duress or reader_tamper, as the signals are called',
    by_device UInt8 COMMENT '1: the device says so; 0: the order of uses does'
)
COMMENT 'Abuse of credentials one by one: where and when, never who; of what is found by the order of uses, the last 21 days'
AS WITH
    uses AS
    (
        SELECT DISTINCT city, entity_id, time, toUnixTimestamp64Milli(time) AS ms, outcome, direction,
            toFloat64(gate) AS gate, ifNotFinite(area, 0) AS area, latitude, longitude, person_a, person_b, outcome IN (1, 3) AS granted
        FROM credential_event FINAL
    ),
    of_people AS (SELECT * FROM uses WHERE NOT isNaN(person_a) AND NOT isNaN(person_b)),
    runs AS
    (
        SELECT *, sum(granted) OVER (
            PARTITION BY city, entity_id, person_a, person_b ORDER BY ms, granted
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) - granted AS run
        FROM of_people WHERE granted OR outcome = 2
    ),
    bursts AS
    (
        SELECT *, NOT granted AND ms - lagInFrame(ms, 4, -1000000) OVER (
            PARTITION BY city, entity_id, person_a, person_b, run ORDER BY ms, granted
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) <= 300000 AS is_burst
        FROM runs
    ),
    guessed AS
    (
        SELECT *, maxIf(ms, is_burst) OVER (PARTITION BY city, entity_id, person_a, person_b, run) AS burst_ms
        FROM bursts
    ),
    entries AS
    (
        SELECT *, lagInFrame(ms, 1, -1) OVER by_area AS last_ms, lagInFrame(gate, 1, nan) OVER by_area AS last_gate,
            lagInFrame(direction, 1, 0) OVER by_area AS last_direction
        FROM of_people WHERE granted AND direction != 0
        WINDOW by_area AS (
            PARTITION BY city, entity_id, person_a, person_b, area ORDER BY ms, direction DESC
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
    ),
    ways AS
    (
        SELECT *, lagInFrame(ms, 1, -1) OVER by_person AS last_ms,
            lagInFrame(latitude, 1, nan) OVER by_person AS last_north,
            lagInFrame(longitude, 1, nan) OVER by_person AS last_east
        FROM of_people WHERE granted AND NOT isNaN(latitude) AND NOT isNaN(longitude)
        WINDOW by_person AS (
            PARTITION BY city, entity_id, person_a, person_b ORDER BY ms
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        )
    ),
    distances AS
    (
        SELECT *, 2 * 6371008.8 * asin(least(1, sqrt(
            pow(sin(radians(latitude - last_north) / 2), 2)
            + cos(radians(latitude)) * cos(radians(last_north)) * pow(sin(radians(longitude - last_east) / 2), 2)
        ))) AS distance_m
        FROM ways WHERE last_ms >= 0 AND ms - last_ms <= 43200000
    )
SELECT city, entity_id AS system, gate, time, 'brute_force' AS type, 0 AS by_device
FROM guessed WHERE granted AND burst_ms > 0 AND ms - burst_ms <= 300000
UNION ALL
SELECT city, entity_id, gate, time, 'anti_passback', 0
FROM entries
WHERE direction = 1 AND last_direction = 1 AND ms - last_ms <= 43200000
    AND NOT (gate = last_gate AND ms - last_ms <= 10000)
UNION ALL
SELECT city, entity_id, gate, time, 'impossible_travel', 0
FROM distances WHERE distance_m >= 500 AND distance_m > 150 / 3.6 * ((ms - last_ms) / 1000 + 60)
UNION ALL
SELECT city, entity_id, gate, time,
    multiIf(outcome = 3, 'duress', outcome = 4, 'reader_tamper', 'anti_passback'), 1
FROM uses WHERE outcome IN (3, 4, 5);
