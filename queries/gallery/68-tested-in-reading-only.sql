-- contract: star
-- title: How many tests of reading have no test of mathematics beside them?
-- title:ja: 読解の検査だけを受け、算数の検査を受けていない例はいくつか
-- purpose: A missing test is seldom missing by chance; the number bounds what it can do to the comparison.
-- purpose:ja: 検査の欠けは偶然とは限らない。その数から、比較への影響の上限が分かる。
SELECT COUNT(*) AS tests
FROM (SELECT id, gr FROM results WHERE read IS NOT NULL
      EXCEPT
      SELECT id, gr FROM results WHERE math IS NOT NULL) AS only_reading
