-- contract: city
-- title: Do pupils in special-needs classes consult more or less often than others?
-- title:ja: 特別支援学級の児童生徒は、相談が多いか少ないか
-- purpose: Support in class should not replace the open door of a counsellor.
-- purpose:ja: 学級での支援があっても、相談の窓口は同じように開かれているべきである。
SELECT e.special_needs,
       COUNT(*) AS pupils,
       AVG(COALESCE(c.times, 0)) AS consultations,
       AVG(CASE WHEN c.times IS NULL THEN 0.0 ELSE 1.0 END) AS share_consulting
FROM (SELECT pupil, COUNT(*) AS times FROM consultations WHERE school_year = 2025 GROUP BY pupil) AS c
RIGHT JOIN enrolments AS e ON c.pupil = e.pupil
WHERE e.school_year = 2025
GROUP BY e.special_needs
ORDER BY e.special_needs
