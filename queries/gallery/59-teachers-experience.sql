-- contract: star
-- title: Do pupils of experienced teachers reach higher scores?
-- title:ja: 経験の長い教員のもとでは、得点が高いか
-- purpose: Experience costs salary; its effect is measured on the same scale as the effect of class size.
-- purpose:ja: 経験には人件費がかかる。学級規模の効果と同じ物差しで測る。
SELECT CASE WHEN exp < 3 THEN '0 to 2'
            WHEN exp < 10 THEN '3 to 9'
            WHEN exp < 20 THEN '10 to 19'
            ELSE '20 or more'
       END AS years,
       COUNT(math) AS pupils,
       AVG(math) AS math,
       MIN(exp) AS least,
       MAX(exp) AS most
FROM results
WHERE exp IS NOT NULL AND gr IN ('K', '1')
GROUP BY 1
ORDER BY least
