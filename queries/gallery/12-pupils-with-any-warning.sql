-- contract: city
-- title: How many pupils of each sex show at least one of three warnings?
-- title:ja: 三つの兆しのうち一つでも示す児童生徒は、男女別に何人か
-- purpose: Lists of single warnings overlap; the different pupils behind them are the talks to plan.
-- purpose:ja: 兆しごとの名簿は重なる。重なりを除いた人数が、計画すべき面談の数になる。
SELECT sex, COUNT(*) AS pupils
FROM pupils
WHERE pupil IN (SELECT pupil FROM attendance WHERE school_year = 2025 AND late_days >= 3
                UNION
                SELECT pupil FROM surveys WHERE school_year = 2025 AND feels_safe = 1
                UNION
                SELECT pupil FROM consultations WHERE school_year = 2025 AND topic = 'いじめ')
GROUP BY sex
ORDER BY sex
