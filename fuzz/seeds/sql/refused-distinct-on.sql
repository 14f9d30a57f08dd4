SELECT COUNT(*) FROM (SELECT DISTINCT ON (id) id, math FROM results ORDER BY id, math) x
