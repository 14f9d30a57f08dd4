-- contract: city
-- title: In which grades is lateness common although absence is not yet?
-- title:ja: 欠席はまだ少ないのに遅刻が目立つ学年はどれか
-- purpose: Lateness tends to come first; these grades can still be helped without anyone having left.
-- purpose:ja: 遅刻は欠席に先立つことが多い。まだ誰も離れていない学年なら、間に合う。
SELECT grade FROM attendance GROUP BY grade HAVING AVG(late_days) > 0.2
EXCEPT
SELECT grade FROM attendance WHERE reason = '不登校' GROUP BY grade HAVING COUNT(DISTINCT pupil) > 30
ORDER BY grade
