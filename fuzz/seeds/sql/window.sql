SELECT month, COUNT(*) AS pupils
FROM (SELECT month, absent_days,
             SUM(absent_days) OVER (PARTITION BY pupil, school_year ORDER BY month
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS so_far
      FROM attendance) x
WHERE so_far >= 30 AND so_far - absent_days < 30
GROUP BY month
