SELECT schtype, gr, GROUPING(gr) AS all_grades, COUNT(*) AS pupils
FROM results
GROUP BY ROLLUP (schtype, gr)
