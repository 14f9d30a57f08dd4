-- contract: star
-- title: How many schools and teachers stand behind each type of class?
-- title:ja: 学級の種類ごとに、いくつの学校と何人の教員がいるか
-- purpose: An effect from few teachers could be theirs; from hundreds it belongs to the class.
-- purpose:ja: 教員が数人なら、その人の効果かもしれない。数百人なら学級の効果と言える。
SELECT cltype, COUNT(DISTINCT sch) AS schools, COUNT(DISTINCT tch) AS teachers, COUNT(DISTINCT id) AS children
FROM results
GROUP BY cltype
ORDER BY cltype
