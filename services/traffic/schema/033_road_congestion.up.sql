-- Congestion as Chinese cities grade it, and queues, of what road_state says of each segment. The numbers in here are those
-- of services/traffic/indices (level_of_service, queue), where their sources stand.

CREATE OR REPLACE VIEW road_congestion
(
    city                 String COMMENT 'City',
    segment              String COMMENT 'Segment in one direction, as in v_road_state',
    window               String COMMENT 'Window: 1m, 5m',
    start_time           DateTime64(3, 'UTC') COMMENT 'Start, inclusive',
    end_time             DateTime64(3, 'UTC') COMMENT 'End, exclusive',
    road_class           String COMMENT 'Label road_class of the segment, or of a lane of it; empty: none is told',
    space_mean_speed_kmh Float64 COMMENT 'Space-mean speed in km/h; NaN: not known',
    congestion_grade     UInt8 COMMENT 'Grade of congestion by that speed, 1 (free) to 5 (serious), where road_class is expressway, arterial or minor; 0: not known, or of another class',
    congestion           String COMMENT 'The same in a word: FREE, BASICALLY_FREE, LIGHT, MODERATE, SERIOUS; empty: not known',
    queued_share         Float64 COMMENT 'Share of the segment that is queued, 0 to 1, by its flow and speed between free flow and its number queue_density_veh_km; NaN: not known, or it lacks that number',
    queue_m              Float64 COMMENT 'How much of the segment is queued, in m: queued_share of its number length_m; NaN: not known',
    spills_back          UInt8 COMMENT '1: the queue of the next segment (label downstream_id) fills nine tenths of it and reaches into a tenth of this one or more, so that the junction between is blocked; 0: no, or not known'
)
COMMENT 'Congestion by speed and queues of road segments. The signal queue_spill_back asks for three minutes on end; here is each window'
AS WITH
    places AS
    (
        -- What is told of the segment itself holds before what is told of its lanes.
        SELECT city, if(labels['segment'] = '', entity_id, labels['segment']) AS segment, labels['segment'] = '' AS is_itself,
            labels['road_class'] AS told_class, labels['downstream_id'] AS told_next,
            if(mapContains(numbers, 'queue_density_veh_km'), numbers['queue_density_veh_km'], nan) AS told_queue_density,
            if(mapContains(numbers, 'length_m'), numbers['length_m'], nan) AS told_length
        FROM entities FINAL
    ),
    segments AS
    (
        SELECT city, segment,
            if(countIf(told_class != '') = 0, '', argMaxIf(told_class, (is_itself, told_class), told_class != '')) AS class,
            anyIf(told_next, is_itself) AS next_segment,
            if(countIf(is_itself) = 0, nan, anyIf(told_queue_density, is_itself)) AS queue_density,
            if(countIf(is_itself) = 0, nan, anyIf(told_length, is_itself)) AS length_m
        FROM places GROUP BY city, segment
    ),
    states AS
    (
        SELECT r.city AS city, r.segment AS segment, r.window AS window, r.start_time AS start_time, r.end_time AS end_time,
            r.space_mean_speed_kmh AS speed, s.class AS class, s.next_segment AS next_segment,
            if(s.segment = '', nan, s.length_m) AS length_m, if(s.segment = '', nan, s.queue_density) AS queue_density,
            r.flow_veh_h / r.free_flow_speed_kmh AS free_density,
            multiIf(class = 'expressway', [65., 50., 35., 20.], class = 'arterial', [40., 30., 20., 15.],
                class = 'minor', [35., 25., 15., 10.], []) AS borders,
            multiIf(speed = 0. AND queue_density > 0., 1.,
                NOT (queue_density > free_density), nan,
                isNaN(speed) OR isNaN(r.flow_veh_h) OR isNaN(queue_density), nan,
                least(greatest((r.flow_veh_h / speed - free_density) / (queue_density - free_density), 0.), 1.)) AS share
        FROM road_state AS r LEFT JOIN segments AS s ON r.city = s.city AND r.segment = s.segment
    )
SELECT u.city AS city, u.segment AS segment, u.window AS window, u.start_time AS start_time, u.end_time AS end_time,
    u.class AS road_class, u.speed AS space_mean_speed_kmh,
    toUInt8(if(empty(u.borders) OR isNaN(u.speed), 0, 5 - arrayCount(border -> round(u.speed, 9) > border, u.borders))) AS congestion_grade,
    ['', 'FREE', 'BASICALLY_FREE', 'LIGHT', 'MODERATE', 'SERIOUS'][congestion_grade + 1] AS congestion,
    u.share AS queued_share, u.share * u.length_m AS queue_m,
    toUInt8(d.segment != '' AND d.share >= 0.9 AND u.share >= 0.1) AS spills_back
FROM states AS u
LEFT JOIN states AS d
    ON u.city = d.city AND u.next_segment = d.segment AND u.window = d.window AND u.start_time = d.start_time;
