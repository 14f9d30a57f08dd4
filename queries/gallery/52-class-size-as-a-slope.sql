-- contract: star
-- title: What is the effect of a small class as a regression on one yes-or-no variable?
-- title:ja: 少人数学級の効果を、二値の説明変数への回帰で表すといくらか
-- purpose: The slope is the difference of the two means; that both ways agree is a check on the arithmetic.
-- purpose:ja: 傾きは二つの平均の差に等しい。二通りの計算が一致することを確かめる。
SELECT gr,
       COUNT(math) AS pupils,
       REGR_SLOPE(math, CASE WHEN cltype = 'small' THEN 1 ELSE 0 END) AS effect,
       REGR_INTERCEPT(math, CASE WHEN cltype = 'small' THEN 1 ELSE 0 END) AS regular,
       REGR_R2(math, CASE WHEN cltype = 'small' THEN 1 ELSE 0 END) AS explained
FROM results
WHERE cltype IN ('small', 'reg')
GROUP BY gr
ORDER BY gr
