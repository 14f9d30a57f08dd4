-- contract: star
-- title: How closely do reading and mathematics go together in each grade?
-- title:ja: 読解と算数の得点は、各学年でどれほど関係しているか
-- purpose: If both measure much the same, one test a year would be enough.
-- purpose:ja: 二つの検査がほぼ同じものを測るなら、年一つで足りる。
SELECT gr,
       COUNT(*) AS pupils,
       CORR(read, math) AS correlation,
       COVAR_POP(read, math) AS covariance,
       REGR_R2(read, math) AS explained
FROM results
WHERE read IS NOT NULL AND math IS NOT NULL
GROUP BY gr
ORDER BY gr
