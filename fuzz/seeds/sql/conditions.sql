SELECT cltype, COUNT(*) AS pupils, AVG(math) AS math
FROM results
WHERE gr = 'K' AND math BETWEEN 300 AND 700 AND sx IN ('F', 'M') AND hdeg NOT LIKE 'Ed%'
GROUP BY cltype
