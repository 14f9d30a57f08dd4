-- contract: city
-- title: How do consultations with counsellors and social workers change month by month?
-- title:ja: スクールカウンセラー等への相談は、月ごとにどう変わるか
-- purpose: The share that goes to specialists and not to the class teacher shows how well they are known.
-- purpose:ja: 担任ではなく専門職に向かう割合から、制度がどれだけ知られているかが分かる。
SELECT CAST(DATE_TRUNC('month', consulted_on) AS DATE) AS month,
       COUNT(*) AS consultations,
       COUNT(*) FILTER (WHERE counsellor LIKE 'スクール%') AS with_specialists
FROM consultations
WHERE EXTRACT(MONTH FROM consulted_on) <> 8
GROUP BY CAST(DATE_TRUNC('month', consulted_on) AS DATE)
ORDER BY month
