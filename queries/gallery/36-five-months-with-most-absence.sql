-- contract: city
-- title: Which five months have most absence through illness?
-- title:ja: 病気による欠席が最も多い5か月はどれか
-- purpose: Influenza closes classes; substitute teachers and lunches can be planned for its months.
-- purpose:ja: インフルエンザの時期が分かれば、代替教員や給食の計画が立つ。
SELECT month, SUM(absent_days) AS days, COUNT(DISTINCT pupil) AS pupils
FROM attendance
WHERE reason LIKE '病%'
GROUP BY month
HAVING COUNT(DISTINCT pupil) >= 100
ORDER BY days DESC, month
LIMIT 5
