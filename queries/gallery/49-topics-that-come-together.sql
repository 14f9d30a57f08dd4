-- contract: city
-- title: How many different topics does a pupil who consults bring within a school year?
-- title:ja: 相談に来る児童生徒は、一年度に何種類の内容を持ち込むか
-- purpose: Pupils with several troubles at once need a meeting of all who help, not one more appointment.
-- purpose:ja: 悩みが重なる児童生徒には、面談を増やすより、関係者が集まる会議が要る。
SELECT topics, COUNT(*) AS pupils
FROM (SELECT pupil, school_year, COUNT(*) AS topics
      FROM (SELECT DISTINCT pupil, school_year, topic FROM consultations) AS different
      GROUP BY pupil, school_year) AS per_pupil
WHERE topics <= 3
GROUP BY topics
ORDER BY topics
