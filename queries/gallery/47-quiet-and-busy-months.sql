-- contract: city
-- title: How far apart are the quietest and the busiest month for lateness?
-- title:ja: 遅刻が最も少ない月と最も多い月は、どれほど離れているか
-- purpose: If they are close, lateness is a habit and not a season.
-- purpose:ja: 差が小さければ、遅刻は季節ではなく習慣の問題である。
SELECT MIN(share) AS quietest, MAX(share) AS busiest, AVG(share) AS mean, COUNT(*) AS months
FROM (SELECT month, AVG(CASE WHEN late_days > 0 THEN 1.0 ELSE 0.0 END) AS share
      FROM attendance
      WHERE RIGHT(month, 2) <> '08'
      GROUP BY month) AS by_month
