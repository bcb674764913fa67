-- Where a rise of pollution may come from; the same as services/environment/indices/attribution.py, in SQL.

CREATE OR REPLACE VIEW pollution_sources
(
    city               String COMMENT 'City',
    station            String COMMENT 'Station of air quality whose air rose: entity of the signal pollution_rise',
    start_time         DateTime64(3, 'UTC') COMMENT 'Start of the hour of the rise, inclusive',
    signal_id          UUID COMMENT 'Signal of the rise',
    source             String COMMENT 'Permitted source that lies upwind within 45 degrees and 10 km: an outlet with a limit in its permit',
    distance_m         Float64 COMMENT 'From the station to the source in m',
    bearing_deg        Float64 COMMENT 'Where the source lies as seen from the station, in degrees clockwise from north',
    off_axis_deg       Float64 COMMENT 'Between that and where the wind comes from, 0 to 45 degrees',
    weather_station    String COMMENT 'Nearest weather station that knows the wind of that hour',
    weather_distance_m Float64 COMMENT 'From the station to the weather station in m',
    wind_from_deg      Float64 COMMENT 'Direction that the wind came from in that hour: of the sum of wind vectors',
    wind_m_s           Float64 COMMENT 'Wind speed of that hour in m/s: mean; at least 0.5, below it is calm',
    source_signals     Array(String) COMMENT 'Types of signals about the source that stand in the 24 hours up to the end of that hour, such as emission_exceeded'
)
COMMENT 'Permitted sources upwind of a rise of pollution: a reason to look and no proof, as neither dispersion nor amounts are weighed'
AS WITH
    rises AS
    (
        SELECT city, entity_id AS station, start_time, end_time, id AS signal_id, radians(latitude) AS north,
            radians(longitude) AS east
        FROM signals FINAL
        WHERE type = 'pollution_rise' AND state = 'raised' AND isFinite(latitude)
    ),
    places AS
    (
        SELECT city, entity_id, radians(latitude) AS north, radians(longitude) AS east,
            mapContains(numbers, 'dust_limit_mg_m3') OR mapContains(numbers, 'so2_limit_mg_m3')
                OR mapContains(numbers, 'nox_limit_mg_m3') AS is_source
        FROM entities FINAL
        WHERE isFinite(latitude) AND isFinite(longitude)
    ),
    winds AS
    (
        SELECT w.city AS city, w.entity_id AS weather_station, w.start_time AS start_time,
            w.wind_from_deg_mean_direction AS wind_from, w.wind_m_s_mean AS speed, p.north AS north, p.east AS east
        FROM weather_windows AS w FINAL INNER JOIN places AS p ON w.city = p.city AND w.entity_id = p.entity_id
        WHERE w.window = '1h' AND isFinite(w.wind_from_deg_mean_direction) AND isFinite(w.wind_m_s_mean)
    ),
    winds_of_rises AS
    (
        SELECT signal_id, argMin((weather_station, wind_from, speed, away), (away, weather_station)) AS wind
        FROM (
            SELECT r.signal_id AS signal_id, w.weather_station AS weather_station, w.wind_from AS wind_from,
                w.speed AS speed, 2 * 6371008.8 * asin(sqrt(least(1., pow(sin((w.north - r.north) / 2), 2)
                    + cos(r.north) * cos(w.north) * pow(sin((w.east - r.east) / 2), 2)))) AS away
            FROM rises AS r INNER JOIN winds AS w ON r.city = w.city AND r.start_time = w.start_time
        )
        GROUP BY signal_id
    ),
    seen AS
    (
        SELECT r.city AS city, r.station AS station, r.start_time AS start_time, r.end_time AS end_time,
            r.signal_id AS signal_id, s.entity_id AS source,
            2 * 6371008.8 * asin(sqrt(least(1., pow(sin((s.north - r.north) / 2), 2)
                + cos(r.north) * cos(s.north) * pow(sin((s.east - r.east) / 2), 2)))) AS distance,
            positiveModulo(degrees(atan2(cos(s.north) * sin(s.east - r.east),
                cos(r.north) * sin(s.north) - sin(r.north) * cos(s.north) * cos(s.east - r.east))), 360) AS bearing
        FROM rises AS r INNER JOIN (SELECT * FROM places WHERE is_source) AS s ON r.city = s.city
    ),
    upwind AS
    (
        SELECT s.*, w.wind AS wind, positiveModulo(w.wind.2 - s.bearing, 360) AS turn,
            if(s.distance = 0, 0, least(turn, 360 - turn)) AS off_axis
        FROM seen AS s INNER JOIN winds_of_rises AS w ON s.signal_id = w.signal_id
        WHERE w.wind.3 >= 0.5 AND off_axis <= 45 AND s.distance <= 10000
    ),
    told AS
    (
        SELECT city, entity_id, type, start_time, end_time FROM signals FINAL
        WHERE kind = 'emission' AND state = 'raised'
    ),
    said AS
    (
        SELECT u.signal_id AS signal_id, u.source AS source, arraySort(groupUniqArray(t.type)) AS types
        FROM upwind AS u INNER JOIN told AS t ON u.city = t.city AND u.source = t.entity_id
        WHERE t.end_time <= u.end_time AND t.end_time > u.end_time - toIntervalHour(24)
        GROUP BY signal_id, source
    )
SELECT u.city AS city, u.station AS station, u.start_time AS start_time, u.signal_id AS signal_id, u.source AS source,
    u.distance AS distance_m, u.bearing AS bearing_deg, u.off_axis AS off_axis_deg, u.wind.1 AS weather_station,
    u.wind.4 AS weather_distance_m, u.wind.2 AS wind_from_deg, u.wind.3 AS wind_m_s, s.types AS source_signals
FROM upwind AS u LEFT JOIN said AS s ON u.signal_id = s.signal_id AND u.source = s.source;
