SELECT grade, COUNT(*) AS pupils
FROM surveys s
WHERE feels_safe = 1
  AND NOT EXISTS (SELECT 1 FROM consultations c WHERE c.pupil = s.pupil AND c.school_year = s.school_year)
GROUP BY grade
