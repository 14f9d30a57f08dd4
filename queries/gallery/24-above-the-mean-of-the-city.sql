-- contract: city
-- title: How many pupils of each grade are absent more than twice the mean of the city?
-- title:ja: 市の平均の2倍を超えて欠席した児童生徒は、各学年で何人か
-- purpose: A line at 30 days comes late; one that follows the city's mean works from the first month.
-- purpose:ja: 30日という線は遅れて効く。市の平均に沿う線なら、最初の月から使える。
SELECT grade, COUNT(DISTINCT pupil) AS pupils, COUNT(*) AS months
FROM attendance
WHERE school_year = 2025
  AND absent_days > 2 * (SELECT AVG(absent_days) FROM attendance WHERE school_year = 2025)
GROUP BY grade
ORDER BY grade
