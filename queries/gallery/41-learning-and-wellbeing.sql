-- contract: city
-- title: How do learning and wellbeing vary together?
-- title:ja: 学習と心の健康は、どのように連動しているか
-- purpose: If safety and learning go together, time for the class climate is no time lost to lessons.
-- purpose:ja: 安心と学びが連動するなら、学級づくりの時間は授業を削る時間ではない。
SELECT s.grade,
       COUNT(*) AS pupils,
       CORR(l.mean_level, s.feels_safe) AS correlation,
       COVAR_SAMP(l.mean_level, s.feels_safe) AS covariance,
       COVAR_POP(l.mean_level, s.feels_safe) AS covariance_all
FROM (SELECT pupil, AVG(level) AS mean_level
      FROM assessments
      WHERE school_year = 2025
      GROUP BY pupil) AS l
JOIN surveys AS s ON l.pupil = s.pupil
WHERE s.school_year = 2025
GROUP BY s.grade
ORDER BY s.grade
