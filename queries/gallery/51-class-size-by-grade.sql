-- contract: star
-- title: By how much do small classes raise scores, grade by grade?
-- title:ja: 少人数学級は、各学年で得点をどれだけ上げるか
-- purpose: Pupils were put into classes by lot, so that the difference is the effect.
-- purpose:ja: この実験の本来の問い。学級は抽選で決められたため、差がそのまま効果となる。
SELECT gr,
       COUNT(math) AS pupils,
       AVG(math) FILTER (WHERE cltype = 'small') AS small,
       AVG(math) FILTER (WHERE cltype = 'reg') AS regular,
       AVG(math) FILTER (WHERE cltype = 'small') - AVG(math) FILTER (WHERE cltype = 'reg') AS effect
FROM results
GROUP BY gr
ORDER BY CASE gr WHEN 'K' THEN 0 WHEN '1' THEN 1 WHEN '2' THEN 2 ELSE 3 END
