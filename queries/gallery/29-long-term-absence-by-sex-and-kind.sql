-- contract: city
-- title: Does long-term absence differ between girls and boys, in either kind of school?
-- title:ja: 長期欠席は、男女で、また小・中学校で異なるか
-- purpose: Where one group is absent more often, support that was designed for the other misses it.
-- purpose:ja: 一方に多いのに他方を想定した支援では届かない。
SELECT p.sex, y.junior_high, COUNT(*) AS pupils, AVG(CASE WHEN y.days >= 30 THEN 1.0 ELSE 0.0 END) AS share
FROM pupils AS p
JOIN (SELECT pupil, MAX(grade) >= 7 AS junior_high, SUM(absent_days) AS days
      FROM attendance
      WHERE school_year = 2025
      GROUP BY pupil) AS y
  ON p.pupil = y.pupil
GROUP BY CUBE (p.sex, y.junior_high)
ORDER BY p.sex NULLS LAST, y.junior_high NULLS LAST
