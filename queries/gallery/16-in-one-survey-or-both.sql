-- contract: city
-- title: How many pupils answered in one year only, and how did they feel?
-- title:ja: 片方の年度だけ回答した児童生徒は何人で、どう感じていたか
-- purpose: Comparing two years needs to know who left the survey and who joined it.
-- purpose:ja: 2年度を比べるには、回答をやめた人と新たに加わった人を知る必要がある。
SELECT a.pupil IS NULL AS joined,
       b.pupil IS NULL AS left_out,
       COUNT(*) AS pupils,
       AVG(COALESCE(a.enjoys_school, b.enjoys_school)) AS enjoys
FROM (SELECT pupil, enjoys_school FROM surveys WHERE school_year = 2024) AS a
FULL JOIN (SELECT pupil, enjoys_school FROM surveys WHERE school_year = 2025) AS b ON a.pupil = b.pupil
GROUP BY 1, 2
ORDER BY 1, 2
