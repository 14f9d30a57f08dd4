SELECT COUNT(*) FROM results WHERE id = 1
