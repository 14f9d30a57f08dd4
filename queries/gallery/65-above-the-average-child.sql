-- contract: star
-- title: Which share of each type of class is above the mean of all kindergartens?
-- title:ja: 幼稚園全体の平均を上回る児童は、学級の種類ごとに何割か
-- purpose: A share is easier to tell parents than points on a scale.
-- purpose:ja: 保護者には、尺度の点数より割合のほうが伝わる。
SELECT cltype,
       COUNT(*) AS pupils,
       AVG(CASE WHEN math > (SELECT AVG(math) FROM results WHERE gr = 'K') THEN 1.0 ELSE 0.0 END) AS above
FROM results
WHERE gr = 'K' AND math IS NOT NULL
GROUP BY cltype
ORDER BY cltype
