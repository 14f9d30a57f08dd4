-- contract: city
-- title: Have girls and boys, in either kind of school, an adult to ask?
-- title:ja: 相談できる大人がいるか（男女別・学校種別）
-- purpose: A new post can go to a woman or a man, to either kind of school; who lacks an adult most?
-- purpose:ja: 新たな相談員をどの学校種に、どのような人を置くか。最も足りないのは誰かを知る。
SELECT sex,
       s.kind,
       COUNT(v.asks_adult) AS answers,
       AVG(v.asks_adult) AS mean,
       APPROX_PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY v.asks_adult) AS middle,
       AVG(CASE WHEN v.asks_adult <= 2 THEN 1.0 ELSE 0.0 END) AS share_without
FROM pupils
JOIN surveys AS v USING (pupil)
JOIN schools AS s ON v.school = s.code
GROUP BY sex, s.kind
ORDER BY s.kind, sex
