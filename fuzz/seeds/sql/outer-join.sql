SELECT e.grade, AVG(s.feels_safe) AS safe, COUNT(*) AS pupils
FROM enrolments e
LEFT JOIN surveys s ON e.pupil = s.pupil AND e.school_year = s.school_year
GROUP BY e.grade
