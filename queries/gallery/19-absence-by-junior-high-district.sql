-- contract: city
-- title: How high is absence in the area of each junior high school?
-- title:ja: 中学校区ごとの欠席は、どれほどか
-- purpose: Schools of one area share their families and can share their support staff.
-- purpose:ja: 同じ中学校区の小・中学校は家庭を共有し、支援員も共有できる。
SELECT s.district, s.kind, COUNT(DISTINCT a.pupil) AS pupils, AVG(a.absent_days) AS days_per_month
FROM attendance AS a
JOIN schools AS s ON a.school = s.code
WHERE a.school_year = 2025
GROUP BY s.district, s.kind
ORDER BY s.district, s.kind
