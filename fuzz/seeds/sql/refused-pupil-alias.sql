SELECT COUNT(*) FROM (SELECT id AS "Yamada Taro" FROM results) x WHERE "Yamada Taro" = 1
