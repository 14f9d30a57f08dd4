-- contract: star
-- title: How much do the same children gain between kindergarten and grade 1, by the class they began in?
-- title:ja: 同じ児童は幼稚園から1年生までにどれだけ伸びたか（最初の学級別）
-- purpose: Following the same children separates a gain in the year from a head start.
-- purpose:ja: 同じ児童を追うことで、その年の伸びと最初の差とを分ける。
SELECT k.cltype, COUNT(*) AS pupils, AVG(f.math - k.math) AS gain, STDDEV_SAMP(f.math - k.math) AS spread
FROM results AS k
JOIN results AS f ON k.id = f.id AND k.gr = 'K' AND f.gr = '1'
GROUP BY k.cltype
ORDER BY k.cltype
