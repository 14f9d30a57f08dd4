-- contract: city
-- title: How are pupils in special-needs classes doing, in attendance and wellbeing?
-- title:ja: 特別支援学級の児童生徒の出席と心の健康は、どうか
-- purpose: The city added special-needs classes; do their pupils come, and do they feel safe?
-- purpose:ja: 市は特別支援学級を増やした。児童生徒が通い、安心しているかどうかが、その効果を示す。
WITH year AS (
    SELECT pupil, school_year, SUM(absent_days) AS days, SUM(late_days) AS late
    FROM attendance
    GROUP BY pupil, school_year)
SELECT e.special_needs,
       COUNT(*) AS pupils,
       AVG(y.days) AS days,
       AVG(y.late) AS late,
       AVG(s.feels_safe) AS safe,
       AVG(s.asks_adult) AS asks_adult
FROM enrolments AS e
JOIN year AS y ON e.pupil = y.pupil AND e.school_year = y.school_year
LEFT JOIN surveys AS s ON e.pupil = s.pupil AND e.school_year = s.school_year
GROUP BY e.special_needs
ORDER BY e.special_needs
