-- What rules of correlation ask of an entity travels with its signals; and words of before that were too narrow.

ALTER TABLE signals
    ADD COLUMN IF NOT EXISTS attributes Map(LowCardinality(String), String) COMMENT 'What was known of the entity out of its labels: road, line, road_m and line_m (metres along it), building, cabinet, district';

ALTER TABLE signals COMMENT COLUMN revision 'Number of observations weighed: in its window and in all that its detector looks back at; the row with the greatest is the final one';
ALTER TABLE dead_letters COMMENT COLUMN error_class 'malformed, invalid, future, unknown (nobody told of the entity) or limit (one entity too many)';
