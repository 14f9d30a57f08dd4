SELECT topic, COUNT(*) AS n, RANK() OVER (ORDER BY COUNT(*) DESC) AS place,
       COUNT(*) * 1.0 / SUM(COUNT(*)) OVER () AS share
FROM consultations
GROUP BY topic
