-- contract: city
-- title: Which topics are consulted most, and which share has each?
-- title:ja: 相談の多い内容はどれで、それぞれ何割を占めるか
-- purpose: Training days for teachers are few; they should follow what pupils bring.
-- purpose:ja: 教員研修の日数は限られる。児童生徒が持ち込む内容に沿わせたい。
SELECT topic,
       COUNT(*) AS consultations,
       RANK() OVER (ORDER BY COUNT(*) DESC) AS place,
       COUNT(*) * 1.0 / SUM(COUNT(*)) OVER () AS share
FROM consultations
GROUP BY topic
ORDER BY place, topic
