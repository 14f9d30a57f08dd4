-- contract: city
-- title: Which share of each grade was absent for 30 days or more?
-- title:ja: 30日以上欠席した児童生徒は、各学年で何割か
-- purpose: The national survey counts once a year; who knows where absence begins can act earlier.
-- purpose:ja: 全国調査の長期欠席は年一度の集計である。どの学年から増えるかが分かれば、市は早く動ける。
SELECT grade,
       COUNT(*) AS pupils,
       SUM(CASE WHEN days >= 30 THEN 1 ELSE 0 END) AS long_term,
       AVG(CASE WHEN days >= 30 THEN 1.0 ELSE 0.0 END) AS share
FROM (SELECT pupil, grade, SUM(absent_days) AS days
      FROM attendance
      WHERE school_year = 2025
      GROUP BY pupil, grade) AS year
GROUP BY grade
ORDER BY grade
