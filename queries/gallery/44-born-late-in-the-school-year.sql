-- contract: city
-- title: Do children born late in the school year reach lower levels in the first grades?
-- title:ja: 早生まれの児童は、低学年で評定が低いか
-- purpose: A difference of age, not of ability, should not decide how a child of six is seen.
-- purpose:ja: 月齢の差を能力の差と取り違えないために確かめる。
SELECT CASE
           WHEN DATE_PART('month', p.birth_date) = 4 AND DATE_PART('day', p.birth_date) = 1
               THEN '4 January to April 1'
           WHEN DATE_PART('month', p.birth_date) BETWEEN 4 AND 6 THEN '1 April to June'
           WHEN DATE_PART('month', p.birth_date) BETWEEN 7 AND 9 THEN '2 July to September'
           WHEN DATE_PART('month', p.birth_date) BETWEEN 10 AND 12 THEN '3 October to December'
           ELSE '4 January to April 1'
       END AS born,
       COUNT(a.level) AS levels,
       AVG(a.level) AS mean
FROM pupils AS p
JOIN assessments AS a ON p.pupil = a.pupil
WHERE a.grade IN (1, 2, 3)
GROUP BY 1
ORDER BY 1
