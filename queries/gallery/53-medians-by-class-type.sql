-- contract: star
-- title: Does the middle pupil gain from a small class, or only the best?
-- title:ja: 少人数学級で伸びるのは中位の児童か、上位だけか
-- purpose: A mean can rise through a few; the median and the quartiles show who gains.
-- purpose:ja: 平均は一部の児童だけでも上がる。中央値と四分位から、誰が伸びたかが分かる。
SELECT cltype,
       COUNT(read) AS pupils,
       PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY read) AS quarter,
       MEDIAN(read) AS middle,
       PERCENTILE_CONT(0.75) WITHIN GROUP (ORDER BY read) AS three_quarters
FROM results
WHERE gr = '3'
GROUP BY cltype
ORDER BY cltype
