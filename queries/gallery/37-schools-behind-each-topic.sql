-- contract: city
-- title: From how many different schools does each topic of consultation come?
-- title:ja: 相談内容ごとに、いくつの学校から相談が寄せられているか
-- purpose: A topic of nearly all schools wants a programme, one of few a visit. No school is named.
-- purpose:ja: ほぼ全校に及ぶなら市の取組、一部の学校なら訪問で応じる。学校名は示さない。
SELECT c.topic, COUNT(DISTINCT e.school) AS schools, COUNT(DISTINCT c.pupil) AS pupils
FROM consultations AS c
JOIN enrolments AS e ON c.pupil = e.pupil AND c.school_year = e.school_year
GROUP BY c.topic
ORDER BY c.topic
