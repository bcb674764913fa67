-- What windows have and analysts did not see: densities, denied passages, slow answers. As in 011 no number of fewer than
-- ten people is shown; how satisfied single citizens are neither, which request_rates tells of ten and more.

ALTER TABLE service_request COMMENT COLUMN satisfaction 'How satisfied the citizen is, 1 (not at all) to 5; NaN: not told (not for analysts)';

ALTER TABLE service_request_windows COMMENT COLUMN satisfaction_count 'Citizens who said how satisfied they are (not for analysts)';
ALTER TABLE service_request_windows COMMENT COLUMN satisfaction_mean 'How satisfied they are, 1 to 5: mean; NaN: none (not for analysts)';

CREATE OR REPLACE VIEW people_flow
(
    city              String COMMENT 'City',
    start_time        DateTime64(3, 'UTC') COMMENT 'Start of the hour',
    h3_cell           UInt64 COMMENT 'H3 cell of resolution 8',
    people            Float64 COMMENT 'People counted by the sensors of the cell; NaN: hidden, as fewer than ten or the complement of such a cell',
    city_people       Float64 COMMENT 'People counted in all cells of the city; NaN: hidden, as every cell is',
    sensors           UInt64 COMMENT 'Sensors of the cell that counted in this hour',
    known_sensors     UInt64 COMMENT 'Sensors of the cell that ever counted',
    coverage          Float64 COMMENT 'Sensors that counted as a share of those that ever did, 0 to 1',
    confidence        Float64 COMMENT 'Confidence of the sensors: mean, 0 to 1; NaN: none of them tells it',
    peak_density_p_m2 Float64 COMMENT 'Greatest density in people per m² at a sensor that counted ten at once; NaN: none did, none tells it, or people are hidden'
)
COMMENT 'People counted by hour and cell, as may be shown'
AS WITH
    hours AS
    (
        SELECT w.city AS city, w.entity_id AS sensor, w.start_time AS start_time, w.count_sum AS counted,
            w.confidence_mean AS confidence,
            if(w.count_max >= 10, w.density_p_m2_max, nan) AS density, h3ToParent(e.h3_cell, 8) AS cell
        FROM people_count_windows AS w FINAL
        INNER JOIN (SELECT city, entity_id, h3_cell FROM entities FINAL WHERE h3_cell != 0) AS e
            ON w.city = e.city AND w.entity_id = e.entity_id
        WHERE w.window = '1h' AND NOT isNaN(w.count_sum)
    ),
    known AS (SELECT city, cell, uniqExact(sensor) AS known_sensors FROM hours GROUP BY city, cell),
    cells AS
    (
        SELECT city, start_time, cell, sum(counted) AS counted, count() AS sensors,
            avgIf(confidence, NOT isNaN(confidence)) AS confidence, maxOrNullIf(density, NOT isNaN(density)) AS densest
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
    r.sensors / k.known_sensors AS coverage, r.confidence AS confidence,
    if(isNaN(people), nan, ifNull(r.densest, nan)) AS peak_density_p_m2
FROM rows AS r INNER JOIN known AS k ON r.city = k.city AND r.cell = k.cell;

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
    confidence   Float64 COMMENT 'Confidence of the counters: mean, 0 to 1; NaN: none of them tells it',
    denied       Float64 COMMENT 'Passages that its gates denied in this hour; NaN: hidden, as fewer than ten, or of people_count'
)
COMMENT 'Who came and went by the gates of a place, by hour and day, as may be shown; every hour up to the latest that is known'
AS WITH
    told AS
    (
        SELECT w.city AS city, e.labels['place'] AS place, 'people_count' AS source, w.entity_id AS gate,
            w.start_time AS start_time, w.count_in_sum AS came, w.count_out_sum AS went, w.confidence_mean AS confidence,
            0. AS refused
        FROM people_count_windows AS w FINAL
        INNER JOIN (SELECT city, entity_id, labels FROM entities FINAL WHERE labels['place'] != '') AS e
            ON w.city = e.city AND w.entity_id = e.entity_id
        WHERE w.window = '1h'
        UNION ALL
        SELECT w.city AS city, e.labels['building'] AS place, 'passage' AS source, w.entity_id AS gate,
            w.start_time AS start_time, w.count_in_sum AS came, w.count_out_sum AS went, nan AS confidence,
            arraySum((outcome, n) -> if(outcome = 2, n, 0),
                [w.outcome_top1, w.outcome_top2, w.outcome_top3, w.outcome_top4, w.outcome_top5],
                [w.outcome_top1_count, w.outcome_top2_count, w.outcome_top3_count, w.outcome_top4_count,
                    w.outcome_top5_count]) AS refused
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
            uniqExact(gate) AS gates, avgIf(confidence, NOT isNaN(confidence)) AS confidence, sum(refused) AS refused
        FROM told GROUP BY city, place, source, start_time
    ),
    rows AS
    (
        SELECT h.city AS city, h.place AS place, h.source AS source, h.start_time AS start_time,
            toDate(h.start_time) AS day, s.entered AS entered, s.gone AS gone, s.gates AS gates,
            h.known_gates AS known_gates, if(s.gates = 0, nan, s.confidence) AS confidence, s.refused AS refused,
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
    if(source = 'passage', nan, gates / known_gates) AS coverage, confidence,
    if(source = 'passage' AND refused >= 10, refused, nan) AS denied
FROM judged;

CREATE OR REPLACE VIEW capacity_use
(
    city                String COMMENT 'City',
    entity_id           String COMMENT 'Place whose people are counted and that has the number capacity, of ten people at least',
    month               Date COMMENT 'Month of UTC',
    capacity            Float64 COMMENT 'People that it may hold, as it is now',
    hours               UInt64 COMMENT 'Hours that were counted',
    peak_people         Float64 COMMENT 'Most people at once; NaN: hidden, as fewer than ten',
    peak_share          Float64 COMMENT 'peak_people / capacity; NaN: hidden, with it',
    usual_peak_share    Float64 COMMENT 'Median over the hours of most people at once / capacity; NaN: hidden, as fewer than ten people',
    crowded_hours       UInt64 COMMENT 'Hours in which the place was above 80 % of its capacity, with ten people at least',
    over_capacity_hours UInt64 COMMENT 'Hours in which more people were there than it may hold',
    peak_density_p_m2   Float64 COMMENT 'Greatest density in people per m², of hours in which ten people were there at once; NaN: none was, or none tells it'
)
COMMENT 'Crowding of places against their capacity, by month'
AS WITH hours AS
(
    SELECT w.city AS city, w.entity_id AS entity_id, w.start_time AS start_time, w.count_max AS people,
        if(w.count_max >= 10, w.density_p_m2_max, nan) AS density,
        e.numbers['capacity'] AS capacity
    FROM people_count_windows AS w FINAL
    INNER JOIN (SELECT city, entity_id, numbers FROM entities FINAL WHERE numbers['capacity'] >= 10) AS e
        ON w.city = e.city AND w.entity_id = e.entity_id
    WHERE w.window = '1h' AND NOT isNaN(w.count_max)
)
SELECT city, entity_id, toStartOfMonth(h.start_time) AS month, any(h.capacity) AS capacity, count() AS hours,
    if(max(h.people) < 10, nan, max(h.people)) AS peak_people, peak_people / capacity AS peak_share,
    if(quantileExactInclusive(0.5)(h.people) < 10, nan, quantileExactInclusive(0.5)(h.people) / capacity)
        AS usual_peak_share,
    countIf(h.people > 0.8 * h.capacity AND h.people >= 10) AS crowded_hours,
    countIf(h.people > h.capacity) AS over_capacity_hours,
    ifNull(maxOrNullIf(h.density, NOT isNaN(h.density)), nan) AS peak_density_p_m2
FROM hours AS h GROUP BY city, entity_id, month;

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
    satisfied_share           Float64 COMMENT 'Share of them that said 4 or 5 of 5, 0 to 1; NaN: hidden, as fewer than ten said anything',
    acknowledged_after_p90    Float64 COMMENT 'Time from opening until it was taken up in s: 90th percentile; NaN: none was',
    resolved_after_p90        Float64 COMMENT 'Time from opening until it was last resolved in s: 90th percentile; NaN: none was',
    satisfaction_mean         Float64 COMMENT 'How satisfied they are, 1 to 5: mean; NaN: hidden, as fewer than ten said anything'
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
    if(sum(is_rated) < 10, nan, avgIf(mark >= 4, is_rated)) AS satisfied_share,
    quantileExactInclusiveIf(0.9)(acknowledged, is_acknowledged) AS acknowledged_after_p90,
    quantileExactInclusiveIf(0.9)(resolved, is_resolved) AS resolved_after_p90,
    if(sum(is_rated) < 10, nan, avgIf(mark, is_rated)) AS satisfaction_mean
FROM requests
GROUP BY city, category, area, month;
