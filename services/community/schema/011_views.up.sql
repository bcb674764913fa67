-- What analysts see of people: no cell of fewer than ten, and none that follows from a total. The tables have them all.

ALTER TABLE people_count MODIFY COMMENT 'Observations of people counts, each place of the log once; of a frame that was sent twice, both places (not for analysts)';
ALTER TABLE people_count_windows MODIFY COMMENT 'Windows of people counts; an observation that came late makes another revision (not for analysts)';

CREATE OR REPLACE VIEW people_flow
(
    city            String COMMENT 'City',
    start_time      DateTime64(3, 'UTC') COMMENT 'Start of the hour',
    h3_cell         UInt64 COMMENT 'H3 cell of resolution 8',
    people          Float64 COMMENT 'People counted by the sensors of the cell; NaN: hidden, as fewer than ten or the complement of such a cell',
    city_people     Float64 COMMENT 'People counted in all cells of the city; NaN: hidden, as every cell is',
    sensors         UInt64 COMMENT 'Sensors of the cell that counted in this hour',
    known_sensors   UInt64 COMMENT 'Sensors of the cell that ever counted',
    coverage        Float64 COMMENT 'Sensors that counted as a share of those that ever did, 0 to 1',
    confidence      Float64 COMMENT 'Confidence of the sensors: mean, 0 to 1; NaN: none of them tells it'
)
COMMENT 'People counted by hour and cell, as may be shown'
AS WITH
    hours AS
    (
        SELECT w.city AS city, w.entity_id AS sensor, w.start_time AS start_time, w.count_sum AS counted,
            w.confidence_mean AS confidence, h3ToParent(e.h3_cell, 8) AS cell
        FROM people_count_windows AS w FINAL
        INNER JOIN (SELECT city, entity_id, h3_cell FROM entities FINAL WHERE h3_cell != 0) AS e
            ON w.city = e.city AND w.entity_id = e.entity_id
        WHERE w.window = '1h' AND NOT isNaN(w.count_sum)
    ),
    known AS (SELECT city, cell, uniqExact(sensor) AS known_sensors FROM hours GROUP BY city, cell),
    cells AS
    (
        SELECT city, start_time, cell, sum(counted) AS counted, count() AS sensors,
            avgIf(confidence, NOT isNaN(confidence)) AS confidence
        FROM hours GROUP BY city, start_time, cell
    ),
    rows AS
    (
        SELECT *, min(counted) OVER all_cells < 10 AS has_small, max(counted) OVER all_cells < 10 AS has_small_only,
            minIf(counted, counted >= 10) OVER all_cells AS complement, sum(counted) OVER all_cells AS total
        FROM cells
        WINDOW all_cells AS (PARTITION BY city, start_time)
    )
SELECT r.city AS city, r.start_time AS start_time, r.cell AS h3_cell,
    if(r.counted < 10 OR (r.has_small AND r.counted = r.complement), nan, r.counted) AS people,
    if(r.has_small_only, nan, r.total) AS city_people, r.sensors AS sensors, k.known_sensors AS known_sensors,
    r.sensors / k.known_sensors AS coverage, r.confidence AS confidence
FROM rows AS r INNER JOIN known AS k ON r.city = k.city AND r.cell = k.cell;

CREATE OR REPLACE VIEW building_occupancy
(
    city          String COMMENT 'City',
    building      String COMMENT 'Building: the label of that name of its gates, or the gate itself where it has none',
    people        Float64 COMMENT 'People inside, as counted last and with who came and went since, never fewer than none; NaN: hidden, as fewer than ten',
    counted_time  DateTime64(3, 'UTC') COMMENT 'When all who are inside were counted last; 1970: never',
    latest_time   DateTime64(3, 'UTC') COMMENT 'Latest passage or count that is known'
)
COMMENT 'People inside buildings now, by the passages of the last 90 days, as may be shown'
AS WITH
    events AS
    (
        SELECT p.city AS city, if(e.building = '', p.entity_id, e.building) AS building, p.time AS time,
            p.occupancy AS counted, ifNotFinite(p.count_in, 0) - ifNotFinite(p.count_out, 0) AS change,
            ifNotFinite(p.count_out, 0) > 0 AS is_out
        FROM (
            SELECT * FROM passage FINAL
            LIMIT 1 BY city, source_id, sequence, kafka_partition, kafka_index,
                if(source_id = '' OR sequence = 0, kafka_offset, -1)
        ) AS p
        LEFT JOIN (SELECT city, entity_id, labels['building'] AS building FROM entities FINAL) AS e
            ON p.city = e.city AND p.entity_id = e.entity_id
    ),
    anchors AS
    (
        SELECT city, building, maxIf(time, NOT isNaN(counted)) AS counted_time,
            argMaxIf(counted, (time, counted), NOT isNaN(counted)) AS anchor, max(time) AS latest_time
        FROM events GROUP BY city, building
    ),
    since AS
    (
        SELECT city, building, change, sum(change) OVER so_far AS running
        FROM (
            SELECT e.city AS city, e.building AS building, e.time AS time, e.is_out AS is_out, e.change AS change
            FROM events AS e INNER JOIN anchors AS a ON e.city = a.city AND e.building = a.building
            WHERE isNaN(e.counted) AND e.time > a.counted_time
        )
        WINDOW so_far AS (PARTITION BY city, building ORDER BY time, is_out)
    ),
    flows AS
    (
        SELECT city, building, sum(change) AS net, min(running) AS least FROM since GROUP BY city, building
    ),
    inside AS
    (
        SELECT a.city AS city, a.building AS building, a.counted_time AS counted_time, a.latest_time AS latest_time,
            a.anchor + f.net - least(0, a.anchor + f.least) AS people
        FROM anchors AS a LEFT JOIN flows AS f ON a.city = f.city AND a.building = f.building
    )
SELECT city, building, if(people < 10, nan, people) AS people, counted_time, latest_time FROM inside;

CREATE OR REPLACE VIEW request_rates
(
    city                      String COMMENT 'City',
    category                  String COMMENT 'Category',
    area                      String COMMENT 'Area, as an H3 cell in hexadecimal digits where the feed knew the place',
    month                     Date COMMENT 'Month of UTC in which the requests were opened',
    requests                  UInt64 COMMENT 'Requests opened',
    acknowledged_share        Float64 COMMENT 'Share of them that was taken up by now, 0 to 1; resolved at once counts, too',
    acknowledged_after_median Float64 COMMENT 'Time from opening until it was taken up in s: median; NaN: none was',
    resolved_share            Float64 COMMENT 'Share of them that was resolved by now, 0 to 1',
    resolved_after_median     Float64 COMMENT 'Time from opening until it was last resolved in s: median; NaN: none was',
    ratings                   Float64 COMMENT 'Citizens who said how satisfied they are; NaN: hidden, as fewer than ten',
    satisfied_share           Float64 COMMENT 'Share of them that said 4 or 5 of 5, 0 to 1; NaN: hidden, as fewer than ten said anything'
)
COMMENT 'How requests of citizens are answered, by category, area and month of opening, by the observations of the last 90 days'
AS WITH requests AS
(
    SELECT city, entity_id, request_a, request_b, minIf(time, opened > 0) AS opened_time,
        minIf(acknowledged_after_s, NOT isNaN(acknowledged_after_s)) AS acknowledged,
        maxIf(resolved_after_s, NOT isNaN(resolved_after_s)) AS resolved,
        countIf(NOT isNaN(acknowledged_after_s)) > 0 AS is_acknowledged,
        countIf(NOT isNaN(resolved_after_s)) > 0 AS is_resolved,
        argMaxIf(satisfaction, time, NOT isNaN(satisfaction)) AS mark, countIf(NOT isNaN(satisfaction)) > 0 AS is_rated
    FROM service_request FINAL
    GROUP BY city, entity_id, request_a, request_b
    HAVING countIf(opened > 0) > 0
)
SELECT city, splitByChar(':', entity_id)[1] AS category, splitByChar(':', entity_id)[2] AS area,
    toStartOfMonth(opened_time) AS month, count() AS requests, avg(is_acknowledged OR is_resolved) AS acknowledged_share,
    quantileExactInclusiveIf(0.5)(acknowledged, is_acknowledged) AS acknowledged_after_median,
    avg(is_resolved) AS resolved_share, quantileExactInclusiveIf(0.5)(resolved, is_resolved) AS resolved_after_median,
    if(sum(is_rated) < 10, nan, sum(is_rated)) AS ratings,
    if(sum(is_rated) < 10, nan, avgIf(mark >= 4, is_rated)) AS satisfied_share
FROM requests
GROUP BY city, category, area, month;
