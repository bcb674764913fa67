-- What windows have and analysts did not see: for how long pictures were tampered with, the most people of a zone, for how
-- long somebody loitered. Of fewer than ten people no number is shown, as before.

CREATE OR REPLACE VIEW camera_health
(
    city        String COMMENT 'City',
    camera      String COMMENT 'Camera: what tells heartbeats',
    seen_time   DateTime64(3, 'UTC') COMMENT 'When it was last heard of',
    silent_s    Float64 COMMENT 'From then to the end of the latest minute that is known of any camera of the city, in s',
    heartbeat_s Float64 COMMENT 'How often it is heard of when all is well, in s: the number of that name of the entity; 60 where it has none',
    offline     Bool COMMENT 'Whether three heartbeats are missing',
    tampered    Bool COMMENT 'Whether its picture was lost, moved, dark, bright or blurred when it told of that last',
    latitude    Float64 COMMENT 'Degrees north; NaN: not known',
    longitude   Float64 COMMENT 'Degrees east; NaN: not known',
    tampered_s  Float64 COMMENT 'For how long it had been, in s, when it told of that last; NaN: it is not tampered with, or did not tell'
)
COMMENT 'Cameras of the last seven days: which of them are there, and which see what they should'
AS WITH
    recent AS
    (
        SELECT * FROM camera_event_windows FINAL
        WHERE window = '1m' AND start_time >= (SELECT max(start_time) FROM camera_event_windows) - INTERVAL 7 DAY
    ),
    latest AS (SELECT city, max(end_time) AS now_time FROM recent GROUP BY city),
    cameras AS
    (
        SELECT city, entity_id, max(topic_last_ms) AS seen_ms,
            argMaxIf(tampered_last, tampered_last_ms, NOT isNaN(tampered_last)) AS tampered,
            maxIf(tampered_last_ms, NOT isNaN(tampered_last)) AS tampered_ms,
            argMaxIf(tamper_s_last, tamper_s_last_ms, NOT isNaN(tamper_s_last)) AS tamper_s,
            maxIf(tamper_s_last_ms, NOT isNaN(tamper_s_last)) AS tamper_s_ms
        FROM recent
        GROUP BY city, entity_id
        HAVING max(has([topic_top1, topic_top2, topic_top3, topic_top4, topic_top5, topic_top6], 12.)) = 1
    ),
    known AS
    (
        SELECT city, entity_id, latitude, longitude, if(mapContains(numbers, 'heartbeat_s'), numbers['heartbeat_s'], 60) AS heartbeat_s, 1 AS there
        FROM entities FINAL
    )
SELECT c.city AS city, c.entity_id AS camera, fromUnixTimestamp64Milli(toInt64(c.seen_ms), 'UTC') AS seen_time,
    (toUnixTimestamp64Milli(l.now_time) - c.seen_ms) / 1000 AS silent_s, if(k.there = 1, k.heartbeat_s, 60) AS heartbeat_s,
    silent_s > 3 * heartbeat_s AS offline, c.tampered = 1 AS tampered,
    if(k.there = 1, k.latitude, nan) AS latitude, if(k.there = 1, k.longitude, nan) AS longitude,
    if(c.tampered = 1 AND c.tamper_s_ms >= c.tampered_ms, c.tamper_s, nan) AS tampered_s
FROM cameras AS c
INNER JOIN latest AS l ON c.city = l.city
LEFT JOIN known AS k ON c.city = k.city AND c.entity_id = k.entity_id;

CREATE OR REPLACE VIEW camera_availability
(
    city             String COMMENT 'City',
    camera           String COMMENT 'Camera: what tells heartbeats',
    day              Date COMMENT 'Day of UTC',
    online_minutes   UInt64 COMMENT 'Minutes at whose end fewer than three heartbeats were missing',
    known_minutes    UInt64 COMMENT 'Minutes of the day that are known of any camera of the city',
    availability     Float64 COMMENT 'Share of them in which it was online, 0 to 1',
    longest_tamper_s Float64 COMMENT 'Longest time that its picture was lost, moved, dark, bright or blurred, as told on that day and from its beginning on, in s; NaN: none was told'
)
COMMENT 'For how much of a day cameras were online'
AS WITH
    minutes AS (SELECT DISTINCT city, end_time FROM camera_event_windows WHERE window = '5m'),
    days AS (SELECT city, toDate(end_time - INTERVAL 1 MINUTE, 'UTC') AS day, count() AS known_minutes FROM minutes GROUP BY city, day),
    known AS
    (
        SELECT city, entity_id, if(mapContains(numbers, 'heartbeat_s'), numbers['heartbeat_s'], 60) AS heartbeat_s, 1 AS there
        FROM entities FINAL
    ),
    heard AS
    (
        SELECT city, entity_id, toUnixTimestamp64Milli(end_time) AS end_ms, topic_last_ms AS seen_ms,
            has([topic_top1, topic_top2, topic_top3, topic_top4, topic_top5, topic_top6], 12.) AS beats,
            leadInFrame(end_ms, 1, 9223372036854775807) OVER
                (PARTITION BY city, entity_id ORDER BY end_time ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next_ms
        FROM camera_event_windows FINAL
        WHERE window = '1m'
    ),
    -- Ends of minutes from the one in which it was heard of up to the next such one, or until three heartbeats are missing.
    ends AS
    (
        SELECT h.city AS city, h.entity_id AS entity_id, h.beats AS beats,
            arrayJoin(range(toUInt64(greatest(0, least(
                intDiv(next_ms - end_ms, 60000),
                toInt64(floor((seen_ms + 3000 * if(k.there = 1, k.heartbeat_s, 60) - end_ms) / 60000)) + 1
            ))))) AS later,
            fromUnixTimestamp64Milli(end_ms + 60000 * toInt64(later), 'UTC') AS end_time
        FROM heard AS h LEFT JOIN known AS k ON h.city = k.city AND h.entity_id = k.entity_id
    ),
    cameras AS
    (
        SELECT city, entity_id, toDate(end_time - INTERVAL 1 MINUTE, 'UTC') AS day, count() AS online_minutes
        FROM ends
        WHERE (city, end_time) IN (SELECT city, end_time FROM minutes)
        GROUP BY city, entity_id, day
        HAVING max(beats) = 1
    ),
    tampers AS
    (
        SELECT city, entity_id, toDate(end_time - INTERVAL 1 MINUTE, 'UTC') AS day, max(tamper_s_max) AS longest, 1 AS there
        FROM camera_event_windows FINAL
        WHERE window = '1m' AND NOT isNaN(tamper_s_max)
        GROUP BY city, entity_id, day
    )
SELECT c.city AS city, c.entity_id AS camera, c.day AS day, c.online_minutes AS online_minutes,
    d.known_minutes AS known_minutes, c.online_minutes / d.known_minutes AS availability,
    if(t.there = 1, t.longest, nan) AS longest_tamper_s
FROM cameras AS c INNER JOIN days AS d ON c.city = d.city AND c.day = d.day
LEFT JOIN tampers AS t ON c.city = t.city AND c.entity_id = t.entity_id AND c.day = t.day;

CREATE OR REPLACE VIEW camera_crowding
(
    city         String COMMENT 'City',
    zone         String COMMENT 'Zone, as camera:rule, or a camera whose picture is the zone',
    end_time     DateTime64(3, 'UTC') COMMENT 'End of the minute',
    people       Float64 COMMENT 'People that are there, as counted last within five minutes; NaN: hidden, as fewer than ten',
    area_m2      Float64 COMMENT 'Area in m²: the number of that name of the entity; NaN: it has none',
    density_p_m2 Float64 COMMENT 'People per m²; NaN: hidden, or the area is not known',
    fruin_level  LowCardinality(String) COMMENT 'Level of service of a walkway after Fruin (1971), A (free) to F; empty: hidden, or the area is not known',
    most_people  Float64 COMMENT 'Most people that were there at once within these five minutes; NaN: hidden, as fewer than ten'
)
COMMENT 'How crowded zones are, minute by minute, as may be shown'
AS WITH
    known AS (SELECT city, entity_id, numbers['area_m2'] AS area FROM entities FINAL WHERE numbers['area_m2'] > 0),
    zones AS
    (
        SELECT w.city AS city, w.entity_id AS entity_id, w.end_time AS end_time, if(w.people_last < 10, nan, w.people_last) AS people,
            if(w.people_max < 10, nan, w.people_max) AS most_people,
            if(k.area > 0, k.area, nan) AS area
        FROM camera_event_windows AS w FINAL LEFT JOIN known AS k ON w.city = k.city AND w.entity_id = k.entity_id
        WHERE w.window = '5m' AND NOT isNaN(w.people_last)
    )
SELECT city, entity_id AS zone, end_time, people, area AS area_m2, people / area AS density_p_m2,
    multiIf(isNaN(density_p_m2), '', density_p_m2 <= 1 / (35 * 0.09290304), 'A', density_p_m2 <= 1 / (25 * 0.09290304), 'B',
        density_p_m2 <= 1 / (15 * 0.09290304), 'C', density_p_m2 <= 1 / (10 * 0.09290304), 'D',
        density_p_m2 <= 1 / (5 * 0.09290304), 'E', 'F') AS fruin_level,
    most_people
FROM zones;

CREATE OR REPLACE VIEW camera_zones
(
    city                String COMMENT 'City',
    camera              String COMMENT 'Camera',
    rule                String COMMENT 'Its rule: a line, a field or a counter; empty: the camera itself',
    hour                DateTime('UTC') COMMENT 'Start of the hour',
    crossings           Float64 COMMENT 'Objects that crossed, people among them; NaN: hidden, as fewer than ten',
    loitering           Float64 COMMENT 'Times that an object loitered',
    abandoned           Float64 COMMENT 'Times that an object was left behind',
    inside              Float64 COMMENT 'Times that it was told whether objects are inside; NaN: hidden, as fewer than ten',
    longest_loitering_s Float64 COMMENT 'Longest time that an object had loitered when it was told of, in s; NaN: none was told',
    confidence          Float64 COMMENT 'Confidence of what was told: mean over minutes, 0 to 1; NaN: none tells it'
)
COMMENT 'What lines and zones of cameras told, by the hour, as may be shown; of topics that were among the six most frequent of a minute'
AS SELECT city, camera, rule, hour, if(crossed < 10, nan, crossed) AS crossings, loitering, abandoned,
    if(told_inside < 10, nan, told_inside) AS inside, ifNull(longest, nan) AS longest_loitering_s, confidence
FROM
(
    SELECT city, splitByChar(':', entity_id)[1] AS camera, arrayStringConcat(arraySlice(splitByChar(':', entity_id), 2), ':') AS rule,
        toStartOfHour(start_time, 'UTC') AS hour, sumIf(crossings_sum, NOT isNaN(crossings_sum)) AS crossed,
        sum(arraySum((t, n) -> if(t = 3, n, 0), tops, counts)) AS loitering,
        sum(arraySum((t, n) -> if(t = 13, n, 0), tops, counts)) AS abandoned,
        sum(arraySum((t, n) -> if(t = 2, n, 0), tops, counts)) AS told_inside,
        maxOrNullIf(loitering_s_max, NOT isNaN(loitering_s_max)) AS longest,
        avgIf(confidence_mean, NOT isNaN(confidence_mean)) AS confidence
    FROM
    (
        SELECT city, entity_id, start_time, crossings_sum, loitering_s_max, confidence_mean,
            [topic_top1, topic_top2, topic_top3, topic_top4, topic_top5, topic_top6] AS tops,
            [topic_top1_count, topic_top2_count, topic_top3_count, topic_top4_count, topic_top5_count, topic_top6_count] AS counts
        FROM camera_event_windows FINAL
        WHERE window = '1m'
    )
    GROUP BY city, camera, rule, hour
    HAVING crossed + loitering + abandoned + told_inside > 0
);
