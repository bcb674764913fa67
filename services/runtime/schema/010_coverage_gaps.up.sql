-- Where one domain looks and another does not: for planners.

CREATE OR REPLACE VIEW v_coverage_gaps
(
    city      String COMMENT 'City',
    domain    String COMMENT 'Domain that has something in the city, and nothing in this cell or the six around it',
    h3_cell   UInt64 COMMENT 'H3 cell of resolution 8 in which another domain has something',
    looked_at Array(String) COMMENT 'Domains that have something in the cell',
    entities  UInt64 COMMENT 'How many entities they have there'
)
COMMENT 'Cells in which a domain has no sensor, gate, camera or segment within a cell, while others have'
AS WITH
    placed AS
    (
        SELECT DISTINCT _database AS domain, city, entity_id, h3ToParent(h3_cell, 8) AS cell
        FROM merge(REGEXP('^[a-z][a-z0-9_]*$'), '^entities$') FINAL WHERE h3_cell != 0
    ),
    cells AS
    (
        SELECT city, cell, arraySort(groupUniqArray(domain)) AS looked_at, count() AS entities
        FROM placed GROUP BY city, cell
    ),
    domains AS (SELECT city, groupUniqArray(domain) AS all_domains FROM placed GROUP BY city),
    reached AS (SELECT DISTINCT city, domain, arrayJoin(h3kRing(cell, toUInt16(1))) AS cell FROM placed)
SELECT w.city AS city, w.domain AS domain, w.cell AS h3_cell, w.looked_at AS looked_at, w.entities AS entities
FROM
(
    SELECT c.city AS city, c.cell AS cell, c.looked_at AS looked_at, c.entities AS entities,
        arrayJoin(d.all_domains) AS domain
    FROM cells AS c INNER JOIN domains AS d ON c.city = d.city
) AS w
LEFT ANTI JOIN reached AS r ON w.city = r.city AND w.domain = r.domain AND w.cell = r.cell;
