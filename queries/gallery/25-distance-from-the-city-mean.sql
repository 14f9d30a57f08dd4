-- contract: city
-- title: How far is each grade's joy of school from the mean of the city?
-- title:ja: 「学校に行くのは楽しい」の各学年の平均は、市の平均とどれだけ違うか
-- purpose: A grade below the mean every year points to the step before it, not to its pupils.
-- purpose:ja: 毎年平均を下回る学年があれば、問題は児童生徒ではなく、その前の段差にある。
SELECT grade,
       COUNT(enjoys_school) AS answers,
       AVG(enjoys_school) AS enjoys,
       AVG(enjoys_school) - (SELECT AVG(enjoys_school) FROM surveys) AS from_mean
FROM surveys
GROUP BY grade
ORDER BY grade
