-- contract: star
-- title: Does each further year in a small class add something by grade 3?
-- title:ja: 少人数学級で過ごす年数が増えるほど、3年生の得点は上がるか
-- purpose: It decides whether one early year is enough or the class has to stay small.
-- purpose:ja: 早い時期の一年で足りるか、少人数を続けるべきかを決める材料になる。
WITH dose AS (
    SELECT id, COUNT(*) AS small_years
    FROM results
    WHERE cltype = 'small'
    GROUP BY id)
SELECT COALESCE(d.small_years, 0) AS small_years,
       COUNT(t.math) AS pupils,
       AVG(t.math) AS math,
       AVG(t.read) AS read
FROM results AS t
LEFT JOIN dose AS d ON t.id = d.id
WHERE t.gr = '3'
GROUP BY COALESCE(d.small_years, 0)
ORDER BY small_years
