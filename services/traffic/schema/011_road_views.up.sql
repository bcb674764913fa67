-- What lanes tell of their segment and segments of a path: the two means of speed, indices and travel times. The numbers
-- in here are those of services/traffic/indices, where their sources stand.

CREATE OR REPLACE VIEW road_state
(
    city                 String COMMENT 'City',
    segment              String COMMENT 'Segment in one direction: the label of that name of its lanes, or the entity itself where it has none',
    window               String COMMENT 'Window: 1m, 5m',
    start_time           DateTime64(3, 'UTC') COMMENT 'Start, inclusive',
    end_time             DateTime64(3, 'UTC') COMMENT 'End, exclusive',
    lanes                UInt64 COMMENT 'Lanes that told anything; 1 where the whole segment is one entity',
    known_lanes          UInt64 COMMENT 'Lanes that are known of the segment; 1 where the whole segment is one entity',
    flow_veh_h           Float64 COMMENT 'Vehicles per hour on all lanes; NaN: that of a lane is not known',
    time_mean_speed_kmh  Float64 COMMENT 'Time-mean speed in km/h: arithmetic mean of what was observed, lanes by their flow; NaN: not known',
    space_mean_speed_kmh Float64 COMMENT 'Space-mean speed in km/h: of each lane by the variance of what was observed (Wardrop 1952), lanes harmonically by their flow; never above the time mean; NaN: not known',
    occupancy            Float64 COMMENT 'Share of time that detectors are covered, 0 to 1: mean of the lanes; NaN: not known',
    heavy_share          Float64 COMMENT 'Share of heavy vehicles, 0 to 1, lanes by their flow; NaN: not known',
    free_flow_speed_kmh  Float64 COMMENT 'Speed of free flow in km/h: the number of that name of the segment or of its lanes, 50 where they have none',
    travel_time_index    Float64 COMMENT 'Travel time against that of free flow, 1 and more; infinite: at a standstill; NaN: not known',
    performance_index    Float64 COMMENT 'Traffic performance index, 0 (free) to 10; NaN: not known',
    density_pc_mi_ln     Float64 COMMENT 'Passenger cars per mile and lane; NaN: not known, or how many lanes there are is not',
    level_of_service     String COMMENT 'Level of service, A to F (HCM 6th edition): by density where the label road_class is freeway, else as an urban street by speed; empty: not known'
)
COMMENT 'State of road segments in each direction, put together of their lanes'
AS WITH
    places AS
    (
        SELECT city, entity_id, if(labels['segment'] = '', entity_id, labels['segment']) AS segment,
            labels['segment'] != '' AS is_lane, labels['road_class'] AS road_class,
            if(mapContains(numbers, 'free_flow_speed_kmh'), numbers['free_flow_speed_kmh'], nan) AS free_kmh,
            if(mapContains(numbers, 'lanes'), numbers['lanes'], nan) AS told_lanes
        FROM entities FINAL
    ),
    segments AS
    (
        -- What is told of the segment itself holds before what is told of its lanes.
        SELECT city, segment, greatest(countIf(is_lane), 1) AS known_lanes,
            if(countIf(road_class != '') = 0, '', argMaxIf(road_class, (NOT is_lane, entity_id), road_class != '')) AS road_class,
            if(countIf(NOT isNaN(free_kmh)) = 0, 50., argMaxIf(free_kmh, (NOT is_lane, entity_id), NOT isNaN(free_kmh))) AS free_kmh,
            if(countIf(is_lane) > 0, toFloat64(countIf(is_lane)), anyIf(told_lanes, NOT is_lane)) AS lanes_on_road
        FROM places GROUP BY city, segment
    ),
    told AS
    (
        SELECT w.city AS city, if(p.segment = '', w.entity_id, p.segment) AS segment, w.window AS window,
            w.start_time AS start_time, w.end_time AS end_time, w.flow_veh_h_mean AS flow, w.speed_kmh_mean AS time_mean,
            if(w.speed_kmh_mean > 0,
                greatest(w.speed_kmh_mean - greatest(
                    w.speed_kmh_sum_of_squares / w.speed_kmh_count - pow(w.speed_kmh_mean, 2), 0) / w.speed_kmh_mean, 0),
                w.speed_kmh_mean) AS space_mean,
            w.occupancy_mean AS occupancy, w.heavy_share_mean AS heavy,
            count() OVER (PARTITION BY w.city, if(p.segment = '', w.entity_id, p.segment), w.window, w.start_time) = 1
                AS is_alone
        FROM road_flow_windows AS w FINAL
        LEFT JOIN places AS p ON w.city = p.city AND w.entity_id = p.entity_id
    ),
    sums AS
    (
        -- Lanes weigh by their flow; one alone needs none.
        SELECT city, segment, window, start_time, any(t.end_time) AS end_time, count() AS lanes, sum(t.flow) AS flow,
            sumIf(t.weight, t.is_weighed) AS weight,
            sumIf(t.weight * t.time_mean, t.is_weighed) / weight AS time_mean,
            weight / sumIf(t.weight / t.space_mean, t.is_weighed) AS space_mean,
            avgIf(t.occupancy, NOT isNaN(t.occupancy)) AS occupancy,
            sumIf(t.weight * t.heavy, t.is_weighed_heavy) / sumIf(t.weight, t.is_weighed_heavy) AS heavy
        FROM
        (
            SELECT *, if(is_alone, 1., flow) AS weight, NOT isNaN(time_mean) AND weight > 0 AS is_weighed,
                NOT isNaN(heavy) AND weight > 0 AS is_weighed_heavy
            FROM told
        ) AS t
        GROUP BY city, segment, window, start_time
    ),
    joined AS
    (
        SELECT s.city AS city, s.segment AS segment, s.window AS window, s.start_time AS start_time,
            s.end_time AS end_time, s.lanes AS lanes, greatest(e.known_lanes, 1) AS known_lanes,
            if(lanes < known_lanes, nan, s.flow) AS flow_veh_h, s.time_mean AS time_mean_speed_kmh,
            s.space_mean AS space_mean_speed_kmh, s.occupancy AS occupancy, s.heavy AS heavy_share,
            if(e.segment = '', 50., e.free_kmh) AS free_flow_speed_kmh, e.road_class AS road_class,
            if(e.segment = '', nan, e.lanes_on_road) AS lanes_on_road
        FROM sums AS s LEFT JOIN segments AS e ON s.city = e.city AND s.segment = e.segment
    ),
    judged AS
    (
        SELECT *,
            if(isNaN(space_mean_speed_kmh), nan, greatest(free_flow_speed_kmh / space_mean_speed_kmh, 1.)) AS index,
            round(index - 1., 9) AS extra,
            if(space_mean_speed_kmh > 0,
                flow_veh_h * (1. + ifNotFinite(heavy_share, 0.)) / lanes_on_road / space_mean_speed_kmh * 1.609344, nan) AS density,
            100. * space_mean_speed_kmh / free_flow_speed_kmh AS percent
        FROM joined
    )
SELECT city, segment, window, start_time, end_time, lanes, known_lanes, flow_veh_h, time_mean_speed_kmh,
    space_mean_speed_kmh, occupancy, heavy_share, free_flow_speed_kmh, index AS travel_time_index,
    multiIf(isNaN(extra), nan, extra <= 0.2, extra / 0.2 * 2., extra <= 0.5, 2. + (extra - 0.2) / 0.3 * 2.,
        extra <= 0.8, 4. + (extra - 0.5) / 0.3 * 2., extra <= 1.1, 6. + (extra - 0.8) / 0.3 * 2.,
        extra <= 1.4, 8. + (extra - 1.1) / 0.3 * 2., 10.) AS performance_index,
    density AS density_pc_mi_ln,
    multiIf(
        road_class = 'freeway', multiIf(isNaN(density), '', density <= 11., 'A', density <= 18., 'B', density <= 26., 'C',
            density <= 35., 'D', density <= 45., 'E', 'F'),
        isNaN(percent), '', percent > 80., 'A', percent > 67., 'B', percent > 50., 'C', percent > 40., 'D',
        percent > 30., 'E', 'F') AS level_of_service
FROM judged;

CREATE OR REPLACE VIEW path_times
(
    city               String COMMENT 'City',
    path               String COMMENT 'Path: an entity whose label segments names the segments that it leads over, in their order, with a blank between them',
    window             String COMMENT 'Window: 1m, 5m',
    start_time         DateTime64(3, 'UTC') COMMENT 'Start, inclusive',
    end_time           DateTime64(3, 'UTC') COMMENT 'End, exclusive',
    segments           UInt64 COMMENT 'Segments of the path',
    known_segments     UInt64 COMMENT 'Segments whose speed and length are known',
    length_m           Float64 COMMENT 'Length of the path in m: sum of the numbers length_m of its segments; NaN: one is not known',
    travel_time_s      Float64 COMMENT 'Travel time in s by what all segments tell at this time: sum of length / space-mean speed; infinite: one stands; NaN: one is not known',
    free_flow_time_s   Float64 COMMENT 'Travel time in s at the speeds of free flow; NaN: a length is not known',
    travel_time_index  Float64 COMMENT 'travel_time_s / free_flow_time_s, at least 1; NaN: not known'
)
COMMENT 'Travel time over paths at each moment; of who drives while speeds change, python -m services.traffic.path_times tells'
AS WITH
    steps AS
    (
        SELECT city, entity_id AS path, length(ids) AS segments, arrayJoin(ids) AS segment
        FROM (SELECT city, entity_id, splitByWhitespace(labels['segments']) AS ids FROM entities FINAL)
    ),
    lengths AS
    (
        SELECT s.city AS city, s.path AS path, s.segments AS segments, s.segment AS segment,
            if(mapContains(e.numbers, 'length_m'), e.numbers['length_m'], nan) AS length_m
        FROM steps AS s LEFT JOIN (SELECT city, entity_id, numbers FROM entities FINAL) AS e
            ON s.city = e.city AND s.segment = e.entity_id
    ),
    sums AS
    (
        SELECT l.city AS city, l.path AS path, r.window AS window, r.start_time AS start_time,
            any(r.end_time) AS end_time, any(l.segments) AS segments, count() AS told_segments,
            countIf(NOT isNaN(l.length_m) AND NOT isNaN(r.space_mean_speed_kmh)) AS known_segments,
            sum(l.length_m / (r.space_mean_speed_kmh / 3.6)) AS time_s,
            sum(l.length_m / (r.free_flow_speed_kmh / 3.6)) AS free_s, sum(l.length_m) AS length_m
        FROM lengths AS l INNER JOIN road_state AS r ON l.city = r.city AND l.segment = r.segment
        GROUP BY city, path, window, start_time
    )
SELECT city, path, window, start_time, end_time, segments, known_segments,
    if(told_segments < segments, nan, sums.length_m) AS length_m,
    if(known_segments < segments, nan, time_s) AS travel_time_s,
    if(told_segments < segments, nan, free_s) AS free_flow_time_s,
    if(known_segments < segments, nan, greatest(time_s / free_s, 1.)) AS travel_time_index
FROM sums;

CREATE OR REPLACE VIEW path_reliability
(
    city                String COMMENT 'City',
    path                String COMMENT 'Path',
    hour_of_week        UInt16 COMMENT 'Hour of the week of UTC: 0 is Monday 00:00 to 00:59',
    journeys            UInt64 COMMENT 'Five-minute travel times that are known of it',
    mean_s              Float64 COMMENT 'Mean travel time in s',
    reliable_s          Float64 COMMENT '95th percentile in s: 19 of 20 journeys take no longer',
    buffer_index        Float64 COMMENT '(reliable_s - mean_s) / mean_s (FHWA 2006)',
    planning_time_index Float64 COMMENT 'reliable_s against the travel time of free flow (FHWA 2006)'
)
COMMENT 'How reliable travel times over paths are, by hour of the week, over all windows that are kept; standstills are left out'
AS SELECT city, path, toUInt16((toDayOfWeek(start_time) - 1) * 24 + toHour(start_time)) AS hour_of_week,
    count() AS journeys, avg(travel_time_s) AS mean_s, quantileExactInclusive(0.95)(travel_time_s) AS reliable_s,
    (reliable_s - mean_s) / mean_s AS buffer_index, reliable_s / avg(free_flow_time_s) AS planning_time_index
FROM path_times WHERE window = '5m' AND isFinite(travel_time_s)
GROUP BY city, path, hour_of_week;
