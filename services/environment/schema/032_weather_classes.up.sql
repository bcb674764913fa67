-- What the weather was in the words of its scales. The numbers in here are those of services/environment/indices/weather.py,
-- where their sources stand.

CREATE OR REPLACE VIEW weather_classes
(
    city             String COMMENT 'City',
    entity_id        String COMMENT 'Weather station',
    window           String COMMENT 'Window: 10m, 1h',
    start_time       DateTime64(3, 'UTC') COMMENT 'Start, inclusive',
    end_time         DateTime64(3, 'UTC') COMMENT 'End, exclusive',
    wind_m_s         Float64 COMMENT 'Mean wind speed at 10 m in m/s; NaN: not known',
    beaufort         Int8 COMMENT 'Force of that wind, 0 to 12 (WMO-No. 306, code table 1100), 13 to 17 (GB/T 28591-2012); -1: not known',
    wind_from_deg    Float64 COMMENT 'Mean direction that the wind comes from, degrees clockwise from north; NaN: not known, or it cancels',
    wind_sector      String COMMENT 'The same as one of 16 sectors, N, NNE … (WMO-No. 8, 2018, chapter 5); CALM: below 0.5 m/s; empty: not known',
    rain_mm          Float64 COMMENT 'Rain of the window in mm; NaN: not known',
    rain_24h_mm      Float64 COMMENT 'Rain of the 24 hours that end with the window, in mm, of windows of 1h; NaN: an hour of them is not known, or a window of 10m',
    rain_class       String COMMENT 'Class of that amount (GB/T 28592-2012): NONE, TRACE, LIGHT, MODERATE, HEAVY, RAINSTORM, SEVERE_RAINSTORM, EXTREME_RAINSTORM; empty: not known',
    visibility_m     Float64 COMMENT 'Mean horizontal visibility in m; NaN: not known',
    visibility_class String COMMENT 'Class of that visibility: CLEAR from 10 km on, MIST, FOG below 1 km (WMO-No. 407), DENSE_FOG below 500 m, VERY_DENSE_FOG below 200 m, EXTREMELY_DENSE_FOG below 50 m (warnings of fog in China); empty: not known',
    radiation_w_m2   Float64 COMMENT 'Mean total solar radiation in W/m²; NaN: not known',
    stability        String COMMENT 'Pasquill-Gifford stability of the air, A to F (EPA-454/R-99-005, table 6-7), where wind and sun decide it; empty: not known, or it depends on the time of day or the change of temperature with height, which stations do not tell'
)
COMMENT 'Weather in the classes of its scales, by station and window'
AS SELECT city, entity_id, window, start_time, end_time, wind_m_s_mean AS wind_m_s,
    toInt8(if(isNaN(wind_m_s), -1, arrayCount(least_m_s -> wind_m_s >= least_m_s, [0.3, 1.6, 3.4, 5.5, 8.0, 10.8, 13.9, 17.2,
        20.8, 24.5, 28.5, 32.7, 37.0, 41.5, 46.2, 51.0, 56.1]))) AS beaufort,
    wind_from_deg_mean_direction AS wind_from_deg,
    multiIf(isNaN(wind_m_s), '', wind_m_s < 0.5, 'CALM', isNaN(wind_from_deg), '',
        ['N', 'NNE', 'NE', 'ENE', 'E', 'ESE', 'SE', 'SSE', 'S', 'SSW', 'SW', 'WSW', 'W', 'WNW', 'NW', 'NNW'][
            toInt32(floor((wind_from_deg + 11.25) / 22.5)) % 16 + 1]) AS wind_sector,
    rain_mm_sum AS rain_mm, if(window = '1h' AND hours_told = 24, rain_of_hours, nan) AS rain_24h_mm,
    multiIf(isNaN(rain_24h_mm), '', rain_24h_mm = 0., 'NONE', round(rain_24h_mm, 6) < 0.1, 'TRACE',
        round(rain_24h_mm, 6) < 10., 'LIGHT', round(rain_24h_mm, 6) < 25., 'MODERATE', round(rain_24h_mm, 6) < 50., 'HEAVY',
        round(rain_24h_mm, 6) < 100., 'RAINSTORM', round(rain_24h_mm, 6) < 250., 'SEVERE_RAINSTORM', 'EXTREME_RAINSTORM')
        AS rain_class,
    visibility_m_mean AS visibility_m,
    multiIf(isNaN(visibility_m), '', visibility_m >= 10000., 'CLEAR', visibility_m >= 1000., 'MIST', visibility_m >= 500., 'FOG',
        visibility_m >= 200., 'DENSE_FOG', visibility_m >= 50., 'VERY_DENSE_FOG', 'EXTREMELY_DENSE_FOG') AS visibility_class,
    radiation_w_m2_mean AS radiation_w_m2,
    multiIf(isNaN(wind_m_s) OR isNaN(radiation_w_m2), '',
        -- So much sun is by day. With less a wind of 2.5 m/s and more is neutral, by day and by night.
        radiation_w_m2 >= 925., multiIf(wind_m_s < 3., 'A', wind_m_s < 5., 'B', 'C'),
        radiation_w_m2 >= 675., multiIf(wind_m_s < 2., 'A', wind_m_s < 5., 'B', wind_m_s < 6., 'C', 'D'),
        radiation_w_m2 >= 175., multiIf(wind_m_s < 2., 'B', wind_m_s < 5., 'C', 'D'),
        wind_m_s >= 2.5, 'D', '') AS stability
FROM
(
    SELECT *, count() OVER day AS hours_told, sum(rain_mm_sum) OVER day AS rain_of_hours
    FROM (SELECT *, toUnixTimestamp(start_time) AS start_s FROM weather_windows FINAL)
    WINDOW day AS (PARTITION BY city, window, entity_id ORDER BY start_s RANGE BETWEEN 82800 PRECEDING AND CURRENT ROW)
);
