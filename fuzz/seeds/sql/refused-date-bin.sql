SELECT DATE_BIN(INTERVAL '7 days', consulted_on, TIMESTAMP '2024-04-01 12:00:00') AS week, COUNT(*)
FROM consultations
GROUP BY 1
