-- How full places are, by month: for planners. As in 011 no number of fewer than ten people is shown.

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
    over_capacity_hours UInt64 COMMENT 'Hours in which more people were there than it may hold'
)
COMMENT 'Crowding of places against their capacity, by month'
AS WITH hours AS
(
    SELECT w.city AS city, w.entity_id AS entity_id, w.start_time AS start_time, w.count_max AS people,
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
    countIf(h.people > h.capacity) AS over_capacity_hours
FROM hours AS h GROUP BY city, entity_id, month;
