-- How many hours places are exposed to polluted air and noise: for planners.

CREATE OR REPLACE VIEW exposure_hours
(
    city           String COMMENT 'City',
    h3_cell        UInt64 COMMENT 'H3 cell of resolution 8',
    month          Date COMMENT 'Month of UTC',
    air_hours      UInt64 COMMENT 'Hours whose index of air quality is known at a station of the cell',
    polluted_hours UInt64 COMMENT 'Hours of them in which it was above 100, from where on sensitive people are affected, at one station at least',
    worst_aqi      Float64 COMMENT 'Greatest index of an hour; NaN: none is known',
    noise_hours    UInt64 COMMENT 'Hours whose level of sound is known at a meter of the cell in a zone with a limit (GB 3096-2008)',
    loud_hours     UInt64 COMMENT 'Hours of them in which it was above the limit of that time of day, at one meter at least',
    worst_over_db  Float64 COMMENT 'How far the loudest hour was above its limit in dB; negative: below; NaN: none is known',
    stations       UInt64 COMMENT 'Stations and meters that took part'
)
COMMENT 'Hours of polluted air and of noise above its limit, by cell and month'
AS WITH
    places AS
    (
        SELECT city, entity_id, h3ToParent(h3_cell, 8) AS cell FROM entities FINAL WHERE h3_cell != 0
    ),
    days AS
    (
        SELECT city, entity_id, start_time, end_time, utc_offset_s, zone_day_limit_db, zone_night_limit_db
        FROM noise_days FINAL
    ),
    told AS
    (
        SELECT city, entity_id, start_time, a.aqi_1h AS aqi, nan AS over_db FROM air_quality_index AS a FINAL
        WHERE NOT isNaN(a.aqi_1h)
        UNION ALL
        -- Days go from 6 to 22 o'clock of the local clock.
        SELECT n.city AS city, n.entity_id AS entity_id, n.start_time AS start_time, nan AS aqi,
            n.laeq_db - if(toHour(n.start_time + toIntervalSecond(d.utc_offset_s)) BETWEEN 6 AND 21,
                d.zone_day_limit_db, d.zone_night_limit_db) AS over_db
        FROM noise_hours AS n
        ASOF INNER JOIN days AS d ON n.city = d.city AND n.entity_id = d.entity_id AND n.start_time >= d.start_time
        WHERE n.start_time < d.end_time AND NOT isNaN(over_db)
    ),
    hours AS
    (
        SELECT t.city AS city, p.cell AS cell, t.start_time AS start_time,
            countIf(NOT isNaN(t.aqi)) > 0 AS has_air, maxIf(t.aqi, NOT isNaN(t.aqi)) AS aqi,
            countIf(NOT isNaN(t.over_db)) > 0 AS has_noise, maxIf(t.over_db, NOT isNaN(t.over_db)) AS over_db,
            groupUniqArray(t.entity_id) AS ids
        FROM told AS t INNER JOIN places AS p ON t.city = p.city AND t.entity_id = p.entity_id
        GROUP BY city, cell, start_time
    )
SELECT city, h.cell AS h3_cell, toStartOfMonth(h.start_time) AS month, countIf(h.has_air) AS air_hours,
    countIf(h.has_air AND h.aqi > 100) AS polluted_hours, if(air_hours = 0, nan, maxIf(h.aqi, h.has_air)) AS worst_aqi,
    countIf(h.has_noise) AS noise_hours, countIf(h.has_noise AND h.over_db > 0) AS loud_hours,
    if(noise_hours = 0, nan, maxIf(h.over_db, h.has_noise)) AS worst_over_db, uniqExactArray(h.ids) AS stations
FROM hours AS h GROUP BY city, h3_cell, month;
