-- contract: city
-- title: How many pupils were absent long-term in both school years?
-- title:ja: 2年続けて長期欠席だった児童生徒は何人か
-- purpose: Absence that lasts over two years wants another kind of help than a bad spring.
-- purpose:ja: 2年にわたる欠席には、一時的な不調とは別の支援が要る。
SELECT COUNT(*) AS pupils
FROM (SELECT pupil FROM attendance WHERE school_year = 2024 GROUP BY pupil HAVING SUM(absent_days) >= 30
      INTERSECT
      SELECT pupil FROM attendance WHERE school_year = 2025 GROUP BY pupil HAVING SUM(absent_days) >= 30) AS a
