-- contract: city
-- title: Are pupils who did not answer the survey absent more often?
-- title:ja: アンケートに答えなかった児童生徒は、欠席が多いか
-- purpose: If those who struggle most do not answer, the averages look better than the schools are.
-- purpose:ja: 最も苦しい児童生徒が回答していなければ、平均は実態より良く見える。
SELECT s.pupil IS NULL AS no_answer, COUNT(*) AS pupils, AVG(a.days) AS days
FROM (SELECT pupil, SUM(absent_days) AS days
      FROM attendance
      WHERE school_year = 2025
      GROUP BY pupil) AS a
LEFT JOIN (SELECT pupil FROM surveys WHERE school_year = 2025) AS s ON a.pupil = s.pupil
GROUP BY s.pupil IS NULL
ORDER BY no_answer
