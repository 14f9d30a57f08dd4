-- contract: city
-- title: Do pupils enjoy school as much in schools that opened before 1980?
-- title:ja: 1980年より前に開校した学校でも、同じように楽しく通えているか
-- purpose: The city decides which buildings to renew; how pupils feel in them is one of the reasons.
-- purpose:ja: 校舎の改修計画を立てるとき、児童生徒の感じ方も判断材料の一つになる。
SELECT CASE WHEN s.code IS NULL THEN 'later' ELSE 'before 1980' END AS opened,
       COUNT(*) AS answers,
       AVG(v.enjoys_school) AS enjoys
FROM surveys AS v
LEFT JOIN schools AS s ON v.school = s.code AND s.opened < 1980
GROUP BY 1
ORDER BY 1
