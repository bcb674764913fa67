-- Cameras of which less is heard than every five minutes are online between two heartbeats, too.

CREATE OR REPLACE VIEW camera_availability
(
    city            String COMMENT 'City',
    camera          String COMMENT 'Camera: what tells heartbeats',
    day             Date COMMENT 'Day of UTC',
    online_minutes  UInt64 COMMENT 'Minutes at whose end fewer than three heartbeats were missing',
    known_minutes   UInt64 COMMENT 'Minutes of the day that are known of any camera of the city',
    availability    Float64 COMMENT 'Share of them in which it was online, 0 to 1'
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
    )
SELECT c.city AS city, c.entity_id AS camera, c.day AS day, c.online_minutes AS online_minutes,
    d.known_minutes AS known_minutes, c.online_minutes / d.known_minutes AS availability
FROM cameras AS c INNER JOIN days AS d ON c.city = d.city AND c.day = d.day;
