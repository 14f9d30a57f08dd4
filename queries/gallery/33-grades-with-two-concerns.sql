-- contract: city
-- title: Which grades have both much absence and low wellbeing?
-- title:ja: 欠席の多さと心の健康の低さが重なる学年はどれか
-- purpose: Two weak signs together justify a visit that one of them does not.
-- purpose:ja: 一つでは弱い兆しも、二つ重なれば訪問の理由になる。
SELECT grade FROM attendance GROUP BY grade HAVING AVG(absent_days) > 1.0
INTERSECT
SELECT grade FROM surveys GROUP BY grade HAVING AVG(feels_safe) < 3.0
ORDER BY grade
