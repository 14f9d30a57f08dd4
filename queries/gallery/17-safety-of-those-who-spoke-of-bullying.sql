-- contract: city
-- title: How safe do pupils feel who have spoken of bullying?
-- title:ja: いじめを相談した児童生徒は、学級で安心して過ごせているか
-- purpose: A consultation should be the beginning of help; the next survey shows whether it was.
-- purpose:ja: 相談は支援の始まりであるべきで、その後のアンケートに表れるかを見る。
SELECT s.school_year,
       COUNT(s.feels_safe) AS answers,
       AVG(s.feels_safe) AS safe,
       AVG(s.asks_adult) AS asks_adult
FROM surveys AS s
LEFT SEMI JOIN (SELECT pupil FROM consultations WHERE topic = 'いじめ') AS c ON s.pupil = c.pupil
GROUP BY s.school_year
ORDER BY s.school_year
