-- contract: star
-- title: How many children took part by location of school and grade, with totals?
-- title:ja: 学校の立地と学年別の参加児童数と、その合計は
-- purpose: An effect holds for the places that took part; totals show how much each stands for.
-- purpose:ja: 効果は参加した地域について言える。合計から、それぞれの比重が分かる。
SELECT schtype, gr, COUNT(*) AS pupils, SUM(CASE WHEN cltype = 'small' THEN 1 ELSE 0 END) AS small
FROM results
GROUP BY ROLLUP (schtype, gr)
ORDER BY schtype NULLS LAST, gr NULLS LAST
