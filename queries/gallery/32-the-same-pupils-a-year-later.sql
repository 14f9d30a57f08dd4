-- contract: city
-- title: How do the answers of the same pupils change within one year, by the grade they enter?
-- title:ja: 同じ児童生徒の回答は、一年でどう変わるか（進級先の学年別）
-- purpose: Following the same pupils leaves out differences between cohorts: what remains is the year itself.
-- purpose:ja: 同じ児童生徒を追えば世代の違いが除かれ、その一年の変化だけが残る。
SELECT b.grade,
       COUNT(*) AS pupils,
       AVG(b.enjoys_school - a.enjoys_school) AS joy,
       AVG(b.feels_safe - a.feels_safe) AS safety,
       STDDEV_SAMP(b.enjoys_school - a.enjoys_school) AS spread
FROM surveys AS a
INNER JOIN surveys AS b ON a.pupil = b.pupil
WHERE a.school_year = 2024 AND b.school_year = 2025
GROUP BY b.grade
ORDER BY b.grade
