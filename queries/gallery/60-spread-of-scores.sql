-- contract: star
-- title: Are scores in small classes closer together?
-- title:ja: 少人数学級では、得点のばらつきが小さいか
-- purpose: Lifting the last without slowing the first narrows the spread; the mean does not show it.
-- purpose:ja: 上位を抑えずに下位を引き上げればばらつきが縮む。平均だけでは見えない。
SELECT gr, cltype, COUNT(math) AS pupils, VAR_POP(math) AS variance, STDDEV_SAMP(math) AS deviation
FROM results
WHERE gr BETWEEN '1' AND '2'
GROUP BY gr, cltype
ORDER BY gr, cltype
