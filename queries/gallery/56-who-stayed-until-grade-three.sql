-- contract: star
-- title: Which share of the children of kindergarten was still in the experiment in grade 3?
-- title:ja: 幼稚園から始めた児童のうち、3年生まで残ったのは何割か
-- purpose: If children leave regular classes more often, the comparison at the end is no longer one by lot.
-- purpose:ja: 通常学級ばかり離脱が多ければ、最後の比較は抽選による比較とは言えなくなる。
SELECT k.cltype,
       k.ses,
       COUNT(*) AS pupils,
       AVG(CASE WHEN t.id IS NULL THEN 0.0 ELSE 1.0 END) AS stayed
FROM (SELECT id, cltype, ses FROM results WHERE gr = 'K') AS k
LEFT JOIN (SELECT id FROM results WHERE gr = '3') AS t ON k.id = t.id
WHERE k.ses IS NOT NULL
GROUP BY k.cltype, k.ses
ORDER BY k.cltype, k.ses
