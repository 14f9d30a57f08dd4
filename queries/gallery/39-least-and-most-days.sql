-- contract: city
-- title: From how many to how many days in a month are pupils absent, by reason?
-- title:ja: 欠席の理由ごとに、月の欠席日数は何日から何日に及ぶか
-- purpose: Does an office form with a line at ten days a month fit what schools report?
-- purpose:ja: 様式の桁数や10日という線が、学校の報告の実態に合うかを確かめる。
SELECT reason, COUNT(*) AS months, MIN(absent_days) AS least, MAX(absent_days) AS most
FROM attendance
WHERE reason IN ('病気', '不登校', 'その他')
GROUP BY reason
ORDER BY reason
