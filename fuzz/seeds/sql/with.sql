WITH year AS (
    SELECT pupil, grade, SUM(absent_days) AS days
    FROM attendance
    WHERE school_year = 2025
    GROUP BY pupil, grade)
SELECT grade, COUNT(*) AS pupils, AVG(CASE WHEN days >= 30 THEN 1.0 ELSE 0.0 END) AS share
FROM year
GROUP BY grade
