SELECT "Yamada Taro" FROM (SELECT COUNT(*) AS "Yamada Taro" FROM results) a, (SELECT COUNT(*) AS "Yamada Taro" FROM results) b
