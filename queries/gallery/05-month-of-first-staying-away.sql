-- contract: city
-- title: In which month do pupils stay away for the first time?
-- title:ja: 初めて不登校になるのは、どの月か
-- purpose: Help before the hard month is cheaper than help after it. Is it after the long holiday?
-- purpose:ja: つまずきやすい月の前の支援は、後の支援より軽く済む。長期休業の後に多いかを確かめる。
SELECT SUBSTR(month, 6, 2) AS calendar_month, COUNT(*) AS pupils
FROM (SELECT pupil, month, ROW_NUMBER() OVER (PARTITION BY pupil ORDER BY month) AS nth
      FROM attendance
      WHERE reason = '不登校') AS away
WHERE nth = 1 AND month > '2024-04'
GROUP BY SUBSTR(month, 6, 2)
ORDER BY calendar_month
