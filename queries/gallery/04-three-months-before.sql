-- contract: city
-- title: What do absence and lateness look like in the three months before a pupil stops coming?
-- title:ja: 学校に来なくなる前の3か月、欠席と遅刻はどう変わるか
-- purpose: If single days off and late mornings rise first, a teacher can notice while talking still helps.
-- purpose:ja: 単発の欠席や遅刻が先に増えるなら、担任は、話し合いが間に合ううちに気づける。
WITH course AS (
    SELECT pupil, month, reason,
           LAG(reason) OVER (PARTITION BY pupil ORDER BY month) AS reason_before,
           LAG(absent_days) OVER (PARTITION BY pupil ORDER BY month) AS absent_1,
           LAG(absent_days, 2) OVER (PARTITION BY pupil ORDER BY month) AS absent_2,
           LAG(absent_days, 3) OVER (PARTITION BY pupil ORDER BY month) AS absent_3,
           LAG(late_days) OVER (PARTITION BY pupil ORDER BY month) AS late_1,
           LAG(late_days, 2) OVER (PARTITION BY pupil ORDER BY month) AS late_2,
           LAG(late_days, 3) OVER (PARTITION BY pupil ORDER BY month) AS late_3
    FROM attendance)
SELECT COUNT(*) AS onsets,
       AVG(absent_3) AS absent_3, AVG(absent_2) AS absent_2, AVG(absent_1) AS absent_1,
       AVG(late_3) AS late_3, AVG(late_2) AS late_2, AVG(late_1) AS late_1
FROM course
WHERE reason = '不登校' AND COALESCE(reason_before, 'なし') <> '不登校' AND absent_3 IS NOT NULL
