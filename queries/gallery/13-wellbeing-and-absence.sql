-- contract: city
-- title: How closely do wellbeing in June and absence over the year go together?
-- title:ja: 6月の心の健康と一年間の欠席は、どれほど関係しているか
-- purpose: A short questionnaire is useful as an early sign only if it says something about absence.
-- purpose:ja: 短いアンケートが早期の兆しになるのは、欠席と関係がある場合だけである。
SELECT s.grade >= 7 AS junior_high,
       COUNT(*) AS pupils,
       CORR(a.days, s.feels_safe) AS correlation,
       REGR_SLOPE(a.days, s.feels_safe) AS days_per_point,
       REGR_INTERCEPT(a.days, s.feels_safe) AS days_at_zero,
       REGR_R2(a.days, s.feels_safe) AS explained
FROM surveys AS s
JOIN (SELECT pupil, school_year, SUM(absent_days) AS days
      FROM attendance
      GROUP BY pupil, school_year) AS a
  ON s.pupil = a.pupil AND s.school_year = a.school_year
WHERE s.school_year = 2025
GROUP BY s.grade >= 7
ORDER BY junior_high
