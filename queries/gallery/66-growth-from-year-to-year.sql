-- contract: star
-- title: In which grade do children grow most in reading?
-- title:ja: 読解が最も伸びるのは、どの学年か
-- purpose: Small classes are dear; they should stand where most is learned.
-- purpose:ja: 少人数学級には費用がかかる。最も多くを学ぶ学年に置くべきである。
WITH course AS (
    SELECT id, read, CASE gr WHEN 'K' THEN 0 WHEN '1' THEN 1 WHEN '2' THEN 2 ELSE 3 END AS grade
    FROM results),
steps AS (
    SELECT id, grade, read,
           LAG(read) OVER (PARTITION BY id ORDER BY grade) AS read_before,
           LAG(grade) OVER (PARTITION BY id ORDER BY grade) AS grade_before
    FROM course)
SELECT grade, COUNT(*) AS pupils, AVG(read - read_before) AS growth
FROM steps
WHERE grade_before = grade - 1 AND read IS NOT NULL AND read_before IS NOT NULL
GROUP BY grade
ORDER BY grade
