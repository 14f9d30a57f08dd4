-- contract: city
-- title: Which calendar month is the one with most absence, pupil by pupil?
-- title:ja: 一人ひとりにとって、欠席が最も多いのはどの月か
-- purpose: A total hides whether pupils share one hard month: it decides between one campaign and many.
-- purpose:ja: 市の合計では、つらい月が共通か人それぞれかは見えない。一斉の取組か個別の支援かを決める材料にする。
SELECT RIGHT(month, 2) AS calendar_month, COUNT(*) AS times
FROM (SELECT pupil, month, absent_days,
             RANK() OVER (PARTITION BY pupil, school_year ORDER BY absent_days DESC) AS place
      FROM attendance) AS ranked
WHERE place = 1 AND absent_days >= 3
GROUP BY 1
ORDER BY 1
