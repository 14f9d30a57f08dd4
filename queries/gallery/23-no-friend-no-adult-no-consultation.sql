-- contract: city
-- title: How many pupils have neither a friend nor an adult to turn to, and no consultation on record?
-- title:ja: 頼れる友達も相談できる大人もなく、相談の記録もない児童生徒は何人か
-- purpose: An open door does not reach them; the city wants to know how many home visits that means.
-- purpose:ja: 窓口を開くだけでは届かない児童生徒である。家庭訪問がどれほど要るかを知る。
SELECT s.school_year, s.grade BETWEEN 1 AND 6 AS elementary, COUNT(*) AS pupils
FROM surveys AS s
WHERE s.has_friend <= 2 AND s.asks_adult <= 2
  AND NOT EXISTS (SELECT 1
                  FROM consultations AS c
                  WHERE c.pupil = s.pupil AND c.school_year = s.school_year)
GROUP BY s.school_year, s.grade BETWEEN 1 AND 6
ORDER BY 1, 2
