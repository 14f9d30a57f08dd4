-- contract: city
-- title: After a month with four days of absence or more, how does the next month go?
-- title:ja: 欠席が4日以上になった翌月は、どうなるか
-- purpose: If most recover by themselves, four days are no alarm; if many are absent again, they are one.
-- purpose:ja: 多くが自然に戻るなら4日は警報ではない。多くが続けて休むなら警報である。
SELECT grade,
       COUNT(*) AS months,
       AVG(next_days) AS next_days,
       AVG(CASE WHEN next_days >= 4 THEN 1.0 ELSE 0.0 END) AS again
FROM (SELECT pupil, grade, reason, absent_days,
             LEAD(absent_days) OVER (PARTITION BY pupil, school_year ORDER BY month) AS next_days
      FROM attendance) AS course
WHERE absent_days >= 4 AND reason = '病気' AND next_days IS NOT NULL
GROUP BY grade
ORDER BY grade
