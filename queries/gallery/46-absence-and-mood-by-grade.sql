-- contract: city
-- title: Grade by grade, how do absence and wellbeing stand side by side?
-- title:ja: 学年ごとに、欠席と心の健康を並べるとどうなるか
-- purpose: Two releases put into one table, so that a board reads one page instead of two.
-- purpose:ja: 二つの結果を一つの表にまとめ、会議で一枚で読めるようにする。
WITH absence AS (SELECT grade, AVG(absent_days) AS days FROM attendance GROUP BY grade),
     mood AS (SELECT grade, AVG(feels_safe) AS safe FROM surveys GROUP BY grade)
SELECT absence.grade, absence.days, mood.safe
FROM absence
JOIN mood ON absence.grade = mood.grade
ORDER BY absence.grade
