SELECT COUNT(*) FROM results a JOIN results b ON a.sch = b.sch
