-- contract: city
-- title: In which month of the school year do pupils reach 30 days of absence?
-- title:ja: 欠席が30日に達するのは、年度のどの月か
-- purpose: Who reaches 30 days in autumn is reported in spring: how much time does the report lose?
-- purpose:ja: 秋に30日へ達しても、報告は翌春になる。報告を待つ間に失われる時間を示す。
SELECT month, COUNT(*) AS pupils
FROM (SELECT pupil, month, absent_days,
             SUM(absent_days) OVER (PARTITION BY pupil, school_year ORDER BY month
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS so_far
      FROM attendance
      WHERE school_year = 2025) AS running
WHERE so_far >= 30 AND so_far - absent_days < 30
GROUP BY month
ORDER BY month
