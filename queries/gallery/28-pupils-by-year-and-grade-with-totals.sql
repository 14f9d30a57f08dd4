-- contract: city
-- title: How many pupils are enrolled by school year and grade, with totals?
-- title:ja: 年度・学年別の在籍者数と、その合計は
-- purpose: Coming class sizes follow from the numbers of today; totals have to match the parts.
-- purpose:ja: 将来の学級規模は現在の人数から決まる。合計は内訳と一致しなければならない。
SELECT school_year,
       grade,
       GROUPING(school_year) + GROUPING(grade) AS level,
       COUNT(*) AS pupils,
       SUM(CASE WHEN special_needs THEN 1 ELSE 0 END) AS special_needs
FROM enrolments
GROUP BY ROLLUP (school_year, grade)
ORDER BY school_year NULLS LAST, grade NULLS LAST
