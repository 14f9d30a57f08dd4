-- contract: city
-- title: What are the median, the quartiles and the last tenth of absent days in each grade?
-- title:ja: 各学年の欠席日数の中央値、四分位、上位1割の境は何日か
-- purpose: A mean is pulled up by a few; the median says what is usual, the last tenth where concern begins.
-- purpose:ja: 平均は少数の長期欠席に引き上げられる。ふつうの日数は中央値に、気がかりの始まりは上位1割の境に表れる。
SELECT grade,
       COUNT(*) AS pupils,
       PERCENTILE_CONT(0.25) WITHIN GROUP (ORDER BY days) AS quarter,
       MEDIAN(days) AS middle,
       PERCENTILE_CONT(0.75) WITHIN GROUP (ORDER BY days) AS three_quarters,
       PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY days) AS last_tenth
FROM (SELECT pupil, grade, LEAST(SUM(absent_days), 200) AS days
      FROM attendance
      WHERE school_year = 2025
      GROUP BY pupil, grade) AS y
GROUP BY grade
ORDER BY grade
