-- contract: city
-- title: How many pupils missed 30 days or more in each school year, in one table?
-- title:ja: 30日以上欠席した児童生徒は、年度ごとに何人か（一つの表で）
-- purpose: The yearly report puts both years under each other, each from a count of its own.
-- purpose:ja: 年次報告では、別々に数えた2年度を上下に並べる。
SELECT 2024 AS school_year, COUNT(*) AS pupils, AVG(days) AS mean_days
FROM (SELECT pupil, SUM(absent_days) AS days FROM attendance WHERE school_year = 2024 GROUP BY pupil) AS y
WHERE days >= 30
UNION ALL
SELECT 2025 AS school_year, COUNT(*) AS pupils, AVG(days) AS mean_days
FROM (SELECT pupil, SUM(absent_days) AS days FROM attendance WHERE school_year = 2025 GROUP BY pupil) AS y
WHERE days >= 30
ORDER BY school_year
