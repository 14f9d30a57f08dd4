SELECT COUNT(*) FROM results WHERE math > (SELECT AVG(math) FROM results GROUP BY gr)
