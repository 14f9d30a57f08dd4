SELECT question, AVG(answer) AS mean
FROM (SELECT pupil, 'feels safe' AS question, feels_safe AS answer FROM surveys
      UNION ALL
      SELECT pupil, 'has a friend' AS question, has_friend AS answer FROM surveys) x
GROUP BY question
