-- contract: city
-- title: How many schools, pupils and months does the record of attendance hold, grade by grade?
-- title:ja: 出欠の記録には、学年ごとにいくつの学校、何人、何か月分があるか
-- purpose: Before any finding: whether the data are complete enough to carry one.
-- purpose:ja: 知見を語る前に、データがそれを支えるだけ揃っているかを確かめる。
SELECT 'grade ' || CAST(grade AS VARCHAR) AS label,
       COUNT(DISTINCT school) AS schools,
       COUNT(DISTINCT pupil) AS pupils,
       COUNT(DISTINCT month) AS months,
       COUNT(reason) AS months_with_reason
FROM attendance
GROUP BY 'grade ' || CAST(grade AS VARCHAR)
ORDER BY label
