-- contract: city
-- title: How large is the step in wellbeing from one grade to the next?
-- title:ja: 学年が一つ上がるとき、心の健康の段差はどれほどか
-- purpose: If grade 7 is the largest step down, the bridge to junior high school is the place to build.
-- purpose:ja: 中学1年で最も大きく下がるなら、小中の接続こそ手を入れるべき場所である。
SELECT grade,
       AVG(enjoys_school + feels_safe + has_friend + asks_adult) AS wellbeing,
       AVG(enjoys_school + feels_safe + has_friend + asks_adult)
         - LAG(AVG(enjoys_school + feels_safe + has_friend + asks_adult)) OVER (ORDER BY grade) AS step
FROM surveys
GROUP BY grade
ORDER BY grade
