-- contract: city
-- title: How many pupils absent long-term have not talked to any counsellor?
-- title:ja: 長期欠席のうち、どの相談にもつながっていない児童生徒は何人か
-- purpose: No absent pupil should be left without someone to talk to: the distance to that national aim.
-- purpose:ja: 「誰にも相談できない不登校児童生徒をなくす」という目標までの距離を測る。
SELECT COUNT(DISTINCT pupil) AS pupils
FROM (SELECT pupil FROM attendance WHERE school_year = 2025 GROUP BY pupil HAVING SUM(absent_days) >= 30
      EXCEPT
      SELECT pupil FROM consultations WHERE school_year = 2025) AS unreached
