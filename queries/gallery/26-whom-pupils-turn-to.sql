-- contract: city
-- title: With whom do pupils talk, and about what?
-- title:ja: 児童生徒は、誰に何を相談しているか
-- purpose: A plain list of what occurs at all, before more exact questions are paid for.
-- purpose:ja: 詳しい質問に予算を使う前に、どの組合せがあるかだけを確かめる。
SELECT DISTINCT counsellor, topic
FROM consultations
WHERE school_year = 2025
ORDER BY counsellor, topic
