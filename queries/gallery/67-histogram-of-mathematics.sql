-- contract: star
-- title: How are the scores of kindergarten distributed in small and in regular classes?
-- title:ja: 幼稚園の算数の得点は、少人数学級と通常学級でどう分布しているか
-- purpose: The whole shape shows what a mean hides: whether the left end moves or the right.
-- purpose:ja: 平均に隠れる形を見る。動くのは下の端か、上の端か。
SELECT CAST(FLOOR(math / 50) AS BIGINT) * 50 AS from_score,
       COUNT(*) FILTER (WHERE cltype = 'small') AS small,
       COUNT(*) FILTER (WHERE cltype <> 'small') AS regular
FROM results
WHERE gr = 'K' AND math BETWEEN 350 AND 599
GROUP BY CAST(FLOOR(math / 50) AS BIGINT) * 50
ORDER BY from_score
