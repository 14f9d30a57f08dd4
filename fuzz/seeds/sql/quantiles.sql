SELECT gr, COUNT(math) AS n, MEDIAN(math) AS middle, PERCENTILE_CONT(0.9) WITHIN GROUP (ORDER BY math) AS tenth,
       STDDEV_SAMP(math) AS spread, CORR(math, read) AS together, REGR_SLOPE(math, read) AS slope,
       COUNT(DISTINCT sch) AS schools, MAX(yrs) AS years
FROM results
GROUP BY gr
