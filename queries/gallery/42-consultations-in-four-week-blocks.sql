-- contract: city
-- title: When in the school year do consultations crowd?
-- title:ja: 相談が集中するのは、年度のいつか
-- purpose: Counsellors come by the day; four-week blocks show when a second one is needed.
-- purpose:ja: 相談員は日単位で来校する。4週間ごとに見れば、増員の要る時期が分かる。
SELECT CAST(DATE_BIN(INTERVAL '28 days', consulted_on, TIMESTAMP '2024-04-01 00:00:00') AS DATE) AS from_day,
       COUNT(*) AS consultations
FROM consultations
WHERE consulted_on < DATE '2026-03-30'
GROUP BY 1
ORDER BY 1
