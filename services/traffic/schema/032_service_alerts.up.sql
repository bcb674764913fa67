-- Alerts of operators one by one: a row for each alert, in each of its versions, and each thing that it is about. The
-- numbers of words are those of GTFS-Realtime, as services/traffic/indices/service_alert.py has them.

CREATE OR REPLACE VIEW service_alerts
(
    city           String COMMENT 'City',
    alert          UInt64 COMMENT 'Which alert: first 52 bits of the SHA-256 of the id that the operator gave it, plus 2^52',
    entity_id      String COMMENT 'Stop, line, network or trip that it is about',
    scope          String COMMENT 'What that is: NETWORK, LINE, STOP, TRIP',
    display_name   String COMMENT 'Its name for people; empty: nobody has told of it',
    line           String COMMENT 'Line that it is about, if any; empty: all, or not known',
    effect         String COMMENT 'What it does to passengers, in the word of GTFS-Realtime: NO_SERVICE, SIGNIFICANT_DELAYS, DETOUR',
    cause          String COMMENT 'Why, in the word of GTFS-Realtime: MEDICAL_EMERGENCY, CONSTRUCTION; empty: not told',
    level          String COMMENT 'How grave the operator calls it, in the word of GTFS-Realtime: INFO, WARNING, SEVERE; empty: not told',
    announced_from Nullable(DateTime64(3, 'UTC')) COMMENT 'Start of the period in force, as announced; NULL: not told',
    announced_end  Nullable(DateTime64(3, 'UTC')) COMMENT 'End of the period in force, as announced, exclusive; NULL: not told',
    first_time     DateTime64(3, 'UTC') COMMENT 'When it was told first in this version',
    last_time      DateTime64(3, 'UTC') COMMENT 'When it was told last in this version; a feed repeats it every five minutes for as long as it stands',
    in_force       UInt8 COMMENT '1: told within the last ten minutes of all that alerts and trains of the city tell, in no older version, and its announced end is not reached; 0: over'
)
COMMENT 'Alerts of transit operators: what is in force and what was, of the 90 days that observations are kept'
AS WITH
    newest AS
    (
        SELECT city, max(newest_of) AS newest_time
        FROM
        (
            SELECT city, max(time) AS newest_of FROM service_alert GROUP BY city
            UNION ALL
            SELECT city, max(time) AS newest_of FROM rail_call GROUP BY city
        )
        GROUP BY city
    ),
    versions AS
    (
        SELECT city, alert, entity_id, scope, effect, cause, level, toString(from_s) AS told_from, toString(until_s) AS told_until,
            any(from_s) AS begin_s, any(until_s) AS end_s, min(time) AS first_time, max(time) AS last_time
        FROM service_alert
        GROUP BY city, alert, entity_id, scope, effect, cause, level, told_from, told_until
    )
SELECT v.city AS city, toUInt64(v.alert) AS alert, v.entity_id AS entity_id,
    transform(v.scope, [1, 2, 3, 4], ['NETWORK', 'LINE', 'STOP', 'TRIP'], '') AS scope,
    e.display_name AS display_name, e.labels['line'] AS line,
    transform(v.effect, range(1, 12), ['NO_SERVICE', 'REDUCED_SERVICE', 'SIGNIFICANT_DELAYS', 'DETOUR', 'ADDITIONAL_SERVICE',
        'MODIFIED_SERVICE', 'OTHER_EFFECT', 'UNKNOWN_EFFECT', 'STOP_MOVED', 'NO_EFFECT', 'ACCESSIBILITY_ISSUE'], '') AS effect,
    transform(v.cause, range(1, 13), ['UNKNOWN_CAUSE', 'OTHER_CAUSE', 'TECHNICAL_PROBLEM', 'STRIKE', 'DEMONSTRATION',
        'ACCIDENT', 'HOLIDAY', 'WEATHER', 'MAINTENANCE', 'CONSTRUCTION', 'POLICE_ACTIVITY', 'MEDICAL_EMERGENCY'], '') AS cause,
    transform(v.level, [1, 2, 3, 4], ['UNKNOWN_SEVERITY', 'INFO', 'WARNING', 'SEVERE'], '') AS level,
    if(isNaN(v.begin_s), NULL, fromUnixTimestamp64Milli(toInt64(ifNotFinite(v.begin_s, 0) * 1000), 'UTC')) AS announced_from,
    if(isNaN(v.end_s), NULL, fromUnixTimestamp64Milli(toInt64(ifNotFinite(v.end_s, 0) * 1000), 'UTC')) AS announced_end,
    v.first_time AS first_time, v.last_time AS last_time,
    v.last_time > n.newest_time - INTERVAL 10 MINUTE
        AND v.last_time = max(v.last_time) OVER (PARTITION BY v.city, v.alert, v.entity_id)
        AND NOT (v.end_s * 1000 <= toUnixTimestamp64Milli(n.newest_time)) AS in_force
FROM versions AS v
INNER JOIN newest AS n ON v.city = n.city
LEFT JOIN (SELECT city, entity_id, display_name, labels FROM entities FINAL) AS e ON v.city = e.city AND v.entity_id = e.entity_id;
