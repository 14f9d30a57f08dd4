-- contract: city
-- title: How are the absent days of a year spread over pupils?
-- title:ja: 一年間の欠席日数は、どのように分布しているか
-- purpose: Between a few colds and long-term absence may lie a middle group that nobody counts.
-- purpose:ja: 数日の欠席と長期欠席の間に、数えられていない児童生徒がいないかを確かめる。
SELECT LEAST(CAST(FLOOR(days / 5) AS BIGINT) * 5, 30) AS from_day, COUNT(*) AS pupils
FROM (SELECT pupil, SUM(absent_days) AS days
      FROM attendance
      WHERE school_year = 2025
      GROUP BY pupil) AS year
GROUP BY LEAST(CAST(FLOOR(days / 5) AS BIGINT) * 5, 30)
ORDER BY from_day
