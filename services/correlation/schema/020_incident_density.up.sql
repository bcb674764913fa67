-- Where incidents happen: for planners.

CREATE OR REPLACE VIEW incident_density
(
    city              String COMMENT 'City',
    h3_cell           UInt64 COMMENT 'H3 cell of resolution 8 in which the middle of the incident lies',
    month             Date COMMENT 'Month of UTC in which it began',
    rule              String COMMENT 'Name of the rule that found it',
    incidents         UInt64 COMMENT 'Incidents, but those that were retracted, or in whose place there is another one',
    severe            UInt64 COMMENT 'Those of them that were severe or extreme',
    area_km2          Float64 COMMENT 'Area of the cell in km²',
    incidents_per_km2 Float64 COMMENT 'incidents / area_km2'
)
COMMENT 'Incidents by cell, month and rule, and how dense they are'
AS SELECT city, geoToH3(i.latitude, i.longitude, 8) AS h3_cell, toStartOfMonth(i.start_time) AS month, i.rule AS rule,
    count() AS incidents, countIf(i.severity IN ('severe', 'extreme')) AS severe, h3CellAreaM2(h3_cell) / 1e6 AS area_km2,
    incidents / area_km2 AS incidents_per_km2
FROM incidents AS i FINAL
WHERE i.state NOT IN ('superseded', 'retracted', 'merged') AND isFinite(i.latitude) AND isFinite(i.longitude)
GROUP BY city, h3_cell, month, rule;
