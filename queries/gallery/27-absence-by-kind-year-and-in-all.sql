-- contract: city
-- title: How high is absence by kind of school, by school year, and in all?
-- title:ja: 学校種別、年度別、全体の欠席はどれほどか
-- purpose: One table for the yearly report whose parts and total agree with each other.
-- purpose:ja: 内訳と合計が食い違わない一つの表を、年次報告のために作る。
SELECT s.kind,
       a.school_year,
       GROUPING(s.kind) AS all_kinds,
       GROUPING(a.school_year) AS all_years,
       COUNT(*) AS months,
       SUM(a.absent_days) AS days
FROM attendance AS a
JOIN schools AS s ON a.school = s.code
GROUP BY GROUPING SETS ((s.kind, a.school_year), (s.kind), (a.school_year), ())
ORDER BY all_kinds, all_years, s.kind, a.school_year
