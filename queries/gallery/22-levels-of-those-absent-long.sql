-- contract: city
-- title: How many assessments are missing for pupils absent long-term, subject by subject?
-- title:ja: 長期欠席の児童生徒では、教科ごとに評定がどれほど欠けているか
-- purpose: A missing level closes doors at entrance examinations; where should support at home start?
-- purpose:ja: 評定の欠けは進路の選択肢を狭める。欠けの多い教科から、家庭での学習支援を始める。
SELECT a.subject,
       COUNT(*) AS assessments,
       COUNT(*) - COUNT(a.level) AS missing,
       AVG(CASE WHEN a.level IS NULL THEN 1.0 ELSE 0.0 END) AS share_missing
FROM assessments AS a
WHERE a.school_year = 2025
  AND EXISTS (SELECT 1
              FROM (SELECT pupil, SUM(absent_days) AS days
                    FROM attendance
                    WHERE school_year = 2025
                    GROUP BY pupil) AS y
              WHERE y.pupil = a.pupil AND y.days >= 30)
GROUP BY a.subject
ORDER BY missing DESC, a.subject
