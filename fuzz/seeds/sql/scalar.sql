SELECT gr, COUNT(*) AS above, AVG(math) - (SELECT AVG(math) FROM results) AS from_mean
FROM results
WHERE math > (SELECT AVG(math) FROM results)
GROUP BY gr
