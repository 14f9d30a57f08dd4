-- contract: star
-- title: How many children changed their type of class, and in which year of theirs?
-- title:ja: 学級の種類が変わった児童は何人で、それは参加何年目か
-- purpose: Changes against the lot weaken the experiment; their number bounds how much.
-- purpose:ja: 抽選に反する移動は実験を弱める。その人数から影響の上限が分かる。
WITH course AS (
    SELECT id, cltype, CASE gr WHEN 'K' THEN 0 WHEN '1' THEN 1 WHEN '2' THEN 2 ELSE 3 END AS grade
    FROM results),
steps AS (
    SELECT id, cltype,
           LAG(cltype) OVER (PARTITION BY id ORDER BY grade) AS before,
           ROW_NUMBER() OVER (PARTITION BY id ORDER BY grade) AS nth
    FROM course)
SELECT nth, COUNT(*) AS children, SUM(CASE WHEN cltype <> before THEN 1 ELSE 0 END) AS changed
FROM steps
WHERE before IS NOT NULL
GROUP BY nth
ORDER BY nth
