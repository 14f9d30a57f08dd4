-- contract: star
-- title: Do children with free lunch gain more from small classes?
-- title:ja: 給食費免除の児童ほど、少人数学級の効果は大きいか
-- purpose: If those who have less gain more, small classes also work against inequality.
-- purpose:ja: 不利な児童ほど伸びるなら、少人数学級は得点だけでなく格差への対策でもある。
SELECT ses,
       COUNT(read) AS scores,
       AVG(CASE WHEN cltype = 'small' THEN read END) - AVG(CASE WHEN cltype = 'reg' THEN read END) AS effect
FROM results
WHERE gr = '1' AND ses IS NOT NULL
GROUP BY ses
ORDER BY ses
