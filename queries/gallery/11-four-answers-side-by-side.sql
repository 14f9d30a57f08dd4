-- contract: city
-- title: Which of the four sides of wellbeing is lowest, in elementary and in junior high school?
-- title:ja: 心の健康の4項目のうち、小学校と中学校で最も低いのはどれか
-- purpose: A programme cannot work at everything at once; the lowest answer says where to begin.
-- purpose:ja: 友人、安心、楽しさ、大人への信頼のすべてに同時に取り組むのは難しい。最も低い項目から始めるために尋ねる。
SELECT question, grade >= 7 AS junior_high, COUNT(answer) AS answers, AVG(answer) AS mean
FROM (SELECT pupil, grade, 'enjoys school' AS question, enjoys_school AS answer FROM surveys
      UNION ALL
      SELECT pupil, grade, 'feels safe' AS question, feels_safe AS answer FROM surveys
      UNION ALL
      SELECT pupil, grade, 'has a friend' AS question, has_friend AS answer FROM surveys
      UNION ALL
      SELECT pupil, grade, 'asks an adult' AS question, asks_adult AS answer FROM surveys) AS answers
GROUP BY question, grade >= 7
ORDER BY junior_high, mean
