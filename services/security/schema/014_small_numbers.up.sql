-- What crosses a line, or is told of a field, may be people: as few of them are hidden from analysts as of any other count.

CREATE OR REPLACE VIEW camera_zones
(
    city        String COMMENT 'City',
    camera      String COMMENT 'Camera',
    rule        String COMMENT 'Its rule: a line, a field or a counter; empty: the camera itself',
    hour        DateTime('UTC') COMMENT 'Start of the hour',
    crossings   Float64 COMMENT 'Objects that crossed, people among them; NaN: hidden, as fewer than ten',
    loitering   Float64 COMMENT 'Times that an object loitered',
    abandoned   Float64 COMMENT 'Times that an object was left behind',
    inside      Float64 COMMENT 'Times that it was told whether objects are inside; NaN: hidden, as fewer than ten'
)
COMMENT 'What lines and zones of cameras told, by the hour, as may be shown; of topics that were among the six most frequent of a minute'
AS SELECT city, camera, rule, hour, if(crossed < 10, nan, crossed) AS crossings, loitering, abandoned,
    if(told_inside < 10, nan, told_inside) AS inside
FROM
(
    SELECT city, splitByChar(':', entity_id)[1] AS camera, arrayStringConcat(arraySlice(splitByChar(':', entity_id), 2), ':') AS rule,
        toStartOfHour(start_time, 'UTC') AS hour, sumIf(crossings_sum, NOT isNaN(crossings_sum)) AS crossed,
        sum(arraySum((t, n) -> if(t = 3, n, 0), tops, counts)) AS loitering,
        sum(arraySum((t, n) -> if(t = 13, n, 0), tops, counts)) AS abandoned,
        sum(arraySum((t, n) -> if(t = 2, n, 0), tops, counts)) AS told_inside
    FROM
    (
        SELECT city, entity_id, start_time, crossings_sum,
            [topic_top1, topic_top2, topic_top3, topic_top4, topic_top5, topic_top6] AS tops,
            [topic_top1_count, topic_top2_count, topic_top3_count, topic_top4_count, topic_top5_count, topic_top6_count] AS counts
        FROM camera_event_windows FINAL
        WHERE window = '1m'
    )
    GROUP BY city, camera, rule, hour
    HAVING crossed + loitering + abandoned + told_inside > 0
);
