-- contract: city
-- title: In which grades do pupils feel unsafe and never come to a counsellor?
-- title:ja: 安心できないと答えながら相談に来ない児童生徒は、どの学年に多いか
-- purpose: A cross on a page may have been their only way to ask for help. Where to go and listen?
-- purpose:ja: アンケートの一つの丸だけが、助けを求める方法だったかもしれない。どこへ聞きに行くべきかを知る。
SELECT s.grade, COUNT(*) AS pupils
FROM surveys AS s
LEFT ANTI JOIN (SELECT pupil FROM consultations WHERE school_year = 2025) AS c ON s.pupil = c.pupil
WHERE s.school_year = 2025 AND s.feels_safe <= 2
GROUP BY s.grade
ORDER BY s.grade
