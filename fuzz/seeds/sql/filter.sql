SELECT gr, AVG(math) FILTER (WHERE cltype = 'small') - AVG(math) FILTER (WHERE cltype = 'reg') AS effect
FROM results
GROUP BY gr
HAVING COUNT(math) > 1000
ORDER BY effect DESC
LIMIT 3
