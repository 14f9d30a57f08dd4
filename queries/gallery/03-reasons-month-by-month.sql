-- contract: city
-- title: How do illness and staying away from school change over the months?
-- title:ja: 病気による欠席と不登校は、月ごとにどう変わるか
-- purpose: Counsellors are placed by month; absence by reason shows when which help is wanted.
-- purpose:ja: 相談員の配置は月ごとに決まる。理由別の欠席から、どの支援がいつ要るかを知る。
SELECT month,
       COUNT(*) FILTER (WHERE reason = '病気') AS ill,
       COUNT(*) FILTER (WHERE reason = '不登校') AS staying_away,
       SUM(absent_days) FILTER (WHERE reason = '不登校') AS days_away
FROM attendance
GROUP BY month
ORDER BY month
