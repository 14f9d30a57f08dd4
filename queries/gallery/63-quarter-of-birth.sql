-- contract: star
-- title: Are the older children of kindergarten ahead?
-- title:ja: 幼稚園では、生まれの早い児童が先を行くか
-- purpose: At five, a year is a fifth of a life: know the difference before sorting children by score.
-- purpose:ja: 5歳にとって1年は人生の5分の1である。得点で児童を分ける前に、その差を知っておくべきである。
SELECT SUBSTR(birthq, 6, 1) AS quarter, COUNT(read) AS pupils, AVG(read) AS read, AVG(math) AS math
FROM results
WHERE gr = 'K' AND birthq LIKE '1980:_'
GROUP BY SUBSTR(birthq, 6, 1)
ORDER BY quarter
