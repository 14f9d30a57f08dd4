-- contract: city
-- title: In which subjects are levels spread most widely?
-- title:ja: 評定のばらつきが大きい教科はどれか
-- purpose: A wide spread asks for teaching in groups; for which subject first?
-- purpose:ja: ばらつきの大きい教科ほど習熟度別の指導が要る。どの教科から始めるかを知る。
SELECT subject,
       COUNT(level) AS levels,
       AVG(level) AS mean,
       VAR_SAMP(level) AS variance,
       VAR_POP(level) AS variance_all,
       STDDEV_SAMP(level) AS deviation,
       STDDEV_POP(level) AS deviation_all
FROM assessments
WHERE grade BETWEEN 5 AND 9
GROUP BY subject
ORDER BY deviation DESC
