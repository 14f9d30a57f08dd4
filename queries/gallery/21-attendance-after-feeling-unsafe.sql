-- contract: city
-- title: Are pupils who felt unsafe in one June absent more in the school year after?
-- title:ja: 安心できないと答えた児童生徒は、翌年度に欠席が増えるか
-- purpose: It shows whether an answer in June can warn of an absence a year later.
-- purpose:ja: 6月の一つの回答が、一年後の欠席を予告するかどうかを示す。
SELECT month, COUNT(*) AS pupils, AVG(absent_days) AS days, AVG(late_days) AS late
FROM attendance
WHERE school_year = 2025
  AND pupil IN (SELECT pupil FROM surveys WHERE school_year = 2024 AND feels_safe <= 2)
GROUP BY month
ORDER BY month
