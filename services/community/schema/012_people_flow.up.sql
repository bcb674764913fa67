-- Who is where now, by community and grid, and who came and went by the gates. As in 011 no number of fewer than ten
-- people is shown, and none that follows from a total.

-- Kept without an end: who ever counted is a device that should be heard of.
CREATE TABLE IF NOT EXISTS _people_latest
(
    city      LowCardinality(String) COMMENT 'City',
    entity_id String CODEC(ZSTD) COMMENT 'Sensor',
    time      SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'Moment of its latest count',
    counted   AggregateFunction(argMax, Tuple(count Float32, confidence Float32), Tuple(DateTime64(3, 'UTC'), Float32)) COMMENT 'Its latest count and confidence, of several at one moment the greatest count'
)
ENGINE = ${REPLICATED}AggregatingMergeTree
ORDER BY (city, entity_id)
COMMENT 'Latest count of every sensor that counts who is there at a moment';

CREATE MATERIALIZED VIEW IF NOT EXISTS _people_latest_of_counts TO _people_latest
(
    city      LowCardinality(String) COMMENT 'City',
    entity_id String COMMENT 'Sensor',
    time      SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'Moment of its latest count',
    counted   AggregateFunction(argMax, Tuple(count Float32, confidence Float32), Tuple(DateTime64(3, 'UTC'), Float32)) COMMENT 'Its latest count and confidence'
)
COMMENT 'Fills _people_latest'
AS SELECT city, entity_id, max(p.time) AS time, argMaxState((p.count, p.confidence), (p.time, p.count)) AS counted
FROM people_count AS p WHERE period_s = 0 GROUP BY city, entity_id;

CREATE OR REPLACE VIEW people_now
(
    city           String COMMENT 'City',
    community      String COMMENT 'Community: the label of that name of the sensors; empty: they have none',
    grid           String COMMENT 'Grid: the label of that name of the sensors or, where they have none, their H3 cell of resolution 8 in hexadecimal digits',
    people         Float64 COMMENT 'People counted there within the last minute; NaN: nobody counted, or hidden, as fewer than ten or the complement of such a grid',
    city_people    Float64 COMMENT 'People counted in all grids of the city; NaN: hidden, as every grid is',
    as_of          DateTime64(3, 'UTC') COMMENT 'Latest count of the city; what was counted more than 60 s before is no part of this row',
    oldest_time    DateTime64(3, 'UTC') COMMENT 'Oldest count that is part of this row; 1970: none is',
    sensors        UInt64 COMMENT 'Sensors that counted within the last minute',
    known_sensors  UInt64 COMMENT 'Sensors that ever counted',
    coverage       Float64 COMMENT 'Sensors that counted within the last minute as a share of those that ever did, 0 to 1',
    confidence     Float64 COMMENT 'Confidence of the counts: mean, 0 to 1; NaN: none of them tells it'
)
COMMENT 'People present by community and grid, at most 60 s old, as may be shown: of sensors that count who is there at a moment'
AS WITH
    latest AS
    (
        SELECT city, entity_id, max(l.time) AS time, argMaxMerge(l.counted) AS counted
        FROM _people_latest AS l GROUP BY city, entity_id
    ),
    sensors AS
    (
        SELECT l.city AS city, e.labels['community'] AS community,
            if(e.labels['grid'] != '', e.labels['grid'], c.cell) AS grid,
            l.time AS time, l.counted.1 AS people, l.counted.2 AS confidence, max(l.time) OVER (PARTITION BY l.city) AS as_of,
            l.time >= max(l.time) OVER (PARTITION BY l.city) - INTERVAL 60 SECOND AS is_new
        FROM latest AS l
        LEFT JOIN (SELECT city, entity_id, labels FROM entities FINAL) AS e
            ON l.city = e.city AND l.entity_id = e.entity_id
        LEFT JOIN (
            SELECT city, entity_id, h3ToString(h3ToParent(h3_cell, 8)) AS cell FROM entities FINAL WHERE h3_cell != 0
        ) AS c
            ON l.city = c.city AND l.entity_id = c.entity_id
    ),
    grids AS
    (
        SELECT city, community, grid, any(as_of) AS as_of, minIf(time, is_new) AS oldest_time,
            sumIf(toFloat64(people), is_new) AS counted, countIf(is_new) AS sensors, count() AS known_sensors,
            avgIf(confidence, is_new AND NOT isNaN(confidence)) AS confidence
        FROM sensors GROUP BY city, community, grid
    ),
    rows AS
    (
        SELECT *, countIf(sensors > 0 AND counted < 10) OVER all_grids > 0 AS has_small,
            countIf(sensors > 0 AND counted >= 10) OVER all_grids = 0 AS has_small_only,
            minIf(counted, counted >= 10) OVER all_grids AS complement, sum(counted) OVER all_grids AS total
        FROM grids
        WINDOW all_grids AS (PARTITION BY city)
    )
SELECT city, community, grid,
    if(sensors = 0 OR counted < 10 OR (has_small AND counted = complement), nan, counted) AS people,
    if(has_small_only, nan, total) AS city_people, as_of, oldest_time, sensors, known_sensors,
    sensors / known_sensors AS coverage, confidence
FROM rows;

CREATE OR REPLACE VIEW community_people_now
(
    city          String COMMENT 'City',
    community     String COMMENT 'Community; empty: that of sensors without the label',
    people        Float64 COMMENT 'People in the grids of the community that may be shown: there are so many at least; NaN: none may be shown, or nobody counted',
    grids         UInt64 COMMENT 'Grids in which a sensor ever counted',
    hidden_grids  UInt64 COMMENT 'Grids that were counted and are hidden, whose people are no part of the sum',
    as_of         DateTime64(3, 'UTC') COMMENT 'Latest count of the city; what was counted more than 60 s before is no part of this row',
    sensors       UInt64 COMMENT 'Sensors that counted within the last minute',
    known_sensors UInt64 COMMENT 'Sensors that ever counted',
    coverage      Float64 COMMENT 'Sensors that counted within the last minute as a share of those that ever did, 0 to 1',
    confidence    Float64 COMMENT 'Confidence of the grids, by their sensors: mean, 0 to 1; NaN: none of them tells it'
)
COMMENT 'People present by community, made of what people_now shows and of nothing else, so that it cannot tell what that hides'
AS SELECT city, community,
    if(countIf(NOT isNaN(g.people)) = 0, nan, sumIf(g.people, NOT isNaN(g.people))) AS people, count() AS grids,
    countIf(isNaN(g.people) AND g.sensors > 0) AS hidden_grids, any(g.as_of) AS as_of, sum(g.sensors) AS sensors,
    sum(g.known_sensors) AS known_sensors, sum(g.sensors) / sum(g.known_sensors) AS coverage,
    sumIf(g.confidence * g.sensors, NOT isNaN(g.confidence)) / sumIf(g.sensors, NOT isNaN(g.confidence)) AS confidence
FROM people_now AS g GROUP BY city, community;

CREATE OR REPLACE VIEW gate_flow
(
    city         String COMMENT 'City',
    place        String COMMENT 'Place or building: the label of that name of its gates',
    source       String COMMENT 'What counted: people_count, or passage for gates that let people in one by one',
    start_time   DateTime64(3, 'UTC') COMMENT 'Start of the hour',
    entered      Float64 COMMENT 'People who came in by all gates; NaN: hidden, with departed, as one of them is fewer than ten or the complement of such an hour',
    departed     Float64 COMMENT 'People who went out by all gates; NaN: hidden, with entered',
    balance      Float64 COMMENT 'entered - departed: people who stayed; NaN: hidden, with both',
    day          Date COMMENT 'Day of UTC',
    day_entered  Float64 COMMENT 'People who came in on that day so far; NaN: hidden, with day_departed, as every hour of one of them is fewer than ten',
    day_departed Float64 COMMENT 'People who went out on that day so far; NaN: hidden, with day_entered',
    day_balance  Float64 COMMENT 'day_entered - day_departed: 0 when the gates agree and all have gone; NaN: hidden, with both',
    gates        UInt64 COMMENT 'Counters that told of this hour; of passages all gates, as one that tells nothing had none',
    known_gates  UInt64 COMMENT 'Gates that ever did',
    coverage     Float64 COMMENT 'Counters that told of this hour as a share of those that ever did, 0 to 1; NaN: of passages, as to be silent is no fault',
    confidence   Float64 COMMENT 'Confidence of the counters: mean, 0 to 1; NaN: none of them tells it'
)
COMMENT 'Who came and went by the gates of a place, by hour and day, as may be shown; every hour up to the latest that is known'
AS WITH
    told AS
    (
        SELECT w.city AS city, e.labels['place'] AS place, 'people_count' AS source, w.entity_id AS gate,
            w.start_time AS start_time, w.count_in_sum AS came, w.count_out_sum AS went, w.confidence_mean AS confidence
        FROM people_count_windows AS w FINAL
        INNER JOIN (SELECT city, entity_id, labels FROM entities FINAL WHERE labels['place'] != '') AS e
            ON w.city = e.city AND w.entity_id = e.entity_id
        WHERE w.window = '1h'
        UNION ALL
        SELECT w.city AS city, e.labels['building'] AS place, 'passage' AS source, w.entity_id AS gate,
            w.start_time AS start_time, w.count_in_sum AS came, w.count_out_sum AS went, nan AS confidence
        FROM passage_windows AS w FINAL
        INNER JOIN (SELECT city, entity_id, labels FROM entities FINAL WHERE labels['building'] != '') AS e
            ON w.city = e.city AND w.entity_id = e.entity_id
        WHERE w.window = '1h'
    ),
    places AS
    (
        SELECT city, place, source, uniqExact(gate) AS known_gates, min(start_time) AS first_time,
            max(max(start_time)) OVER (PARTITION BY city, source) AS latest_time
        FROM told GROUP BY city, place, source
    ),
    -- An hour in which nobody passed has no window; that it is missing must not tell that nobody passed.
    hours AS
    (
        SELECT city, place, source, known_gates,
            arrayJoin(arrayMap(
                n -> toDateTime64(toStartOfDay(first_time), 3, 'UTC') + toIntervalHour(n),
                range(toUInt32(dateDiff('hour', toStartOfDay(first_time), latest_time) + 1))
            )) AS start_time
        FROM places
    ),
    sums AS
    (
        SELECT city, place, source, start_time, sum(ifNotFinite(came, 0)) AS entered, sum(ifNotFinite(went, 0)) AS gone,
            uniqExact(gate) AS gates, avgIf(confidence, NOT isNaN(confidence)) AS confidence
        FROM told GROUP BY city, place, source, start_time
    ),
    rows AS
    (
        SELECT h.city AS city, h.place AS place, h.source AS source, h.start_time AS start_time,
            toDate(h.start_time) AS day, s.entered AS entered, s.gone AS gone, s.gates AS gates,
            h.known_gates AS known_gates, if(s.gates = 0, nan, s.confidence) AS confidence,
            min(s.entered) OVER of_day < 10 AS has_few_in, min(s.gone) OVER of_day < 10 AS has_few_out,
            minIf(s.entered, s.entered >= 10) OVER of_day AS complement_in,
            minIf(s.gone, s.gone >= 10) OVER of_day AS complement_out,
            max(s.entered) OVER of_day < 10 OR max(s.gone) OVER of_day < 10 AS hides_day,
            sum(s.entered) OVER of_day AS day_entered, sum(s.gone) OVER of_day AS day_gone
        FROM hours AS h LEFT JOIN sums AS s
            ON h.city = s.city AND h.place = s.place AND h.source = s.source AND h.start_time = s.start_time
        WINDOW of_day AS (PARTITION BY h.city, h.place, h.source, toDate(h.start_time))
    ),
    judged AS
    (
        SELECT *, entered < 10 OR gone < 10 OR (has_few_in AND entered = complement_in)
            OR (has_few_out AND gone = complement_out) AS hides
        FROM rows
    )
SELECT city, place, source, start_time, if(hides, nan, entered) AS entered, if(hides, nan, gone) AS departed,
    if(hides, nan, entered - gone) AS balance, day, if(hides_day, nan, day_entered) AS day_entered,
    if(hides_day, nan, day_gone) AS day_departed, if(hides_day, nan, day_entered - day_gone) AS day_balance,
    if(source = 'passage', known_gates, gates) AS gates, known_gates,
    if(source = 'passage', nan, gates / known_gates) AS coverage, confidence
FROM judged;
