SELECT DATE_TRUNC('month', consulted_on) AS month, COUNT(*) AS consultations
FROM consultations
GROUP BY 1
