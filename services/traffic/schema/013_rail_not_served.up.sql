-- Beside how regularly trains came: how many did not come at all. The numbers in here are those of services/traffic/indices.

CREATE OR REPLACE VIEW rail_regularity
(
    city                  String COMMENT 'City',
    entity_id             String COMMENT 'Platform as one line sees it in one direction',
    window                String COMMENT 'Window: 15m, 1h',
    start_time            DateTime64(3, 'UTC') COMMENT 'Start, inclusive',
    end_time              DateTime64(3, 'UTC') COMMENT 'End, exclusive',
    headways              Float64 COMMENT 'Headways that are known',
    headway_cv            Float64 COMMENT 'Coefficient of variation of the headways: standard deviation / mean; NaN: fewer than two',
    wait_min              Float64 COMMENT 'Mean wait of people who come at any time, in minutes; NaN: no headway is known',
    scheduled_wait_min    Float64 COMMENT 'The same by the timetable, in minutes; NaN: no headway was scheduled',
    excess_wait_min       Float64 COMMENT 'Excess waiting time in minutes: wait_min - scheduled_wait_min; NaN: not known',
    shortest_of_scheduled Float64 COMMENT 'Shortest headway as a share of the shortest that was scheduled; below 0.25 trains are bunched; NaN: not known',
    longest_of_scheduled  Float64 COMMENT 'Longest headway as a share of the longest that was scheduled; above 2 there is a gap; NaN: not known',
    delay_tier            Int8 COMMENT 'Of the latest train: 0 below 5 minutes, 1 from 5, 2 from 15, 3 from 30 minutes on; -1: not known',
    load_p_m2             Float64 COMMENT 'Standing passengers per m² of the fullest train; NaN: not known',
    skipped               Float64 COMMENT 'Calls that were scheduled and at which the train did not stop',
    cancelled             Float64 COMMENT 'Calls that were scheduled of trains that did not run',
    share_not_served      Float64 COMMENT 'Skipped and cancelled calls as a share of those that were scheduled, 0 to 1; NaN: none was scheduled'
)
COMMENT 'Regularity, waiting time and delay of trains, and calls that were not served, by platform and window'
AS SELECT city, entity_id, window, start_time, end_time, if(isNaN(headway_s_count), 0, headway_s_count) AS headways,
    if(headway_s_count > 1, sqrt(greatest(headway_s_sum_of_squares / headway_s_count
        - pow(headway_s_sum / headway_s_count, 2), 0)) / (headway_s_sum / headway_s_count), nan) AS headway_cv,
    headway_s_sum_of_squares / headway_s_sum / 120 AS wait_min,
    scheduled_headway_s_sum_of_squares / scheduled_headway_s_sum / 120 AS scheduled_wait_min,
    wait_min - scheduled_wait_min AS excess_wait_min,
    headway_s_min / scheduled_headway_s_min AS shortest_of_scheduled,
    headway_s_max / scheduled_headway_s_max AS longest_of_scheduled,
    toInt8(multiIf(isNaN(delay_s_max), -1, delay_s_max < 300, 0, delay_s_max < 900, 1, delay_s_max < 1800, 2, 3))
        AS delay_tier,
    load_p_m2_max AS load_p_m2, arraySum((s, n) -> if(s = 2, n, 0), states, counts) AS skipped,
    arraySum((s, n) -> if(s = 3, n, 0), states, counts) AS cancelled,
    (skipped + cancelled) / arraySum((s, n) -> if(s IN (1, 2, 3), n, 0), states, counts) AS share_not_served
FROM
(
    SELECT *, [state_top1, state_top2, state_top3, state_top4] AS states,
        [state_top1_count, state_top2_count, state_top3_count, state_top4_count] AS counts
    FROM rail_call_windows FINAL
);
