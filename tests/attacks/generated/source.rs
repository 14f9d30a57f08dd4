//! What a generated question reads: tables of pupils, and everything that can be made of them.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::expression::{condition, number};
use super::schema::{Kind, Schema, Table};

pub(crate) fn pick<'a, T>(dice: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[dice.random_range(0..from.len())]
}

pub(crate) fn one_in(dice: &mut ChaCha8Rng, n: u32) -> bool {
    dice.random_ratio(1, n)
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// With its relation's alias.
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

impl Column {
    pub(crate) fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Number(_))
    }

    pub(crate) fn makes_keys(&self) -> bool {
        matches!(self.kind, Kind::Number(true) | Kind::Text(_, true) | Kind::Flag)
    }
}

/// An item of FROM.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) sql: String,
    pub(crate) pupil: String,
    pub(crate) columns: Vec<Column>,
    /// Most rows of an ordinary pupil: a smaller bound would leave out some at random.
    pub(crate) rows: u64,
    /// What it was made of: tried where a question is shrunk.
    pub(crate) simpler: Vec<Source>,
}

/// Makes relations, with aliases that are never used twice.
pub(crate) struct Sources<'a> {
    pub(crate) schema: &'a Schema,
    aliases: u32,
}

impl<'a> Sources<'a> {
    pub(crate) fn new(schema: &'a Schema) -> Sources<'a> {
        Sources { schema, aliases: 0 }
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    pub(crate) fn any(&mut self, dice: &mut ChaCha8Rng, depth: u32) -> Source {
        let table = *pick(dice, self.schema.tables);
        if depth == 0 {
            return self.table(&table);
        }
        match dice.random_range(0..12) {
            0..3 => self.table(&table),
            3 => self.filtered(dice, depth),
            4..6 => self.per_pupil(dice, depth),
            6 => self.windowed(dice, &table),
            7 => self.joined(dice, depth),
            8 => self.united(dice),
            9 => self.distinct(dice, &table),
            10 => self.compared(dice),
            _ => self.beside_public(dice, &table),
        }
    }

    pub(crate) fn table(&mut self, table: &Table) -> Source {
        let alias = self.alias();
        let column = |&(name, kind): &(&str, Kind)| Column { name: format!("{alias}.{name}"), kind };
        Source {
            sql: format!("{} AS {alias}", table.name),
            pupil: format!("{alias}.pupil"),
            columns: table.columns.iter().map(column).collect(),
            rows: table.rows,
            simpler: vec![],
        }
    }

    /// A subquery with these columns, the pupil first.
    fn subquery(
        &mut self,
        body: &str,
        columns: Vec<(String, Kind)>,
        rows: u64,
        simpler: Vec<Source>,
    ) -> Source {
        let alias = self.alias();
        let column = |(name, kind): (String, Kind)| Column { name: format!("{alias}.{name}"), kind };
        Source {
            sql: format!("({body}) AS {alias}"),
            pupil: format!("{alias}.pupil"),
            columns: columns.into_iter().map(column).collect(),
            rows,
            simpler,
        }
    }

    fn filtered(&mut self, dice: &mut ChaCha8Rng, depth: u32) -> Source {
        let from = self.any(dice, depth - 1);
        let kept: Vec<(String, &Column)> =
            from.columns.iter().enumerate().map(|(i, column)| (format!("c{i}"), column)).collect();
        let list: Vec<String> =
            kept.iter().map(|(name, column)| format!("{} AS {name}", column.name)).collect();
        let body = format!(
            "SELECT {} AS pupil, {} FROM {} WHERE {}",
            from.pupil,
            list.join(", "),
            from.sql,
            condition(dice, &from.columns, 1)
        );
        let columns = kept.into_iter().map(|(name, column)| (name, column.kind)).collect();
        self.subquery(&body, columns, from.rows, vec![from])
    }

    /// One row per pupil, or per pupil and key.
    fn per_pupil(&mut self, dice: &mut ChaCha8Rng, depth: u32) -> Source {
        let from = self.any(dice, depth - 1);
        let keys: Vec<&Column> = from.columns.iter().filter(|column| column.makes_keys()).collect();
        let key = (!keys.is_empty() && one_in(dice, 2)).then(|| *pick(dice, &keys));
        let mut list = vec![format!("{} AS pupil", from.pupil)];
        let mut columns = Vec::new();
        if let Some(key) = key {
            list.push(format!("{} AS k", key.name));
            columns.push(("k".to_owned(), key.kind));
        }
        for i in 0..2 {
            let function = *pick(dice, &["SUM", "MAX", "MIN", "AVG", "COUNT", "MEDIAN", "STDDEV_POP"]);
            list.push(format!("{function}({}) AS v{i}", number(dice, &from.columns, 1)));
            columns.push((format!("v{i}"), Kind::Number(false)));
        }
        let by = key.map_or(from.pupil.clone(), |key| format!("{}, {}", from.pupil, key.name));
        let having = if one_in(dice, 3) { " HAVING COUNT(*) > 1" } else { "" };
        let body = format!("SELECT {} FROM {} GROUP BY {by}{having}", list.join(", "), from.sql);
        let rows = if key.is_some() { from.rows } else { 1 };
        self.subquery(&body, columns, rows, vec![from])
    }

    fn windowed(&mut self, dice: &mut ChaCha8Rng, table: &Table) -> Source {
        let from = self.table(table);
        let of = number(dice, &from.columns, 0);
        let name =
            |column: &str| from.columns.iter().find(|c| c.name.ends_with(column)).map(|c| c.name.clone());
        let order = name(table.order).unwrap_or_else(|| from.pupil.clone());
        let keys: Vec<&Column> = from.columns.iter().filter(|column| column.makes_keys()).collect();
        let partition = match keys.first() {
            Some(key) if one_in(dice, 3) => format!("{}, {}", from.pupil, key.name),
            _ => from.pupil.clone(),
        };
        let call = match dice.random_range(0..7) {
            0 => format!("LAG({of})"),
            1 => format!("LEAD({of}, 2)"),
            2 => "ROW_NUMBER()".to_owned(),
            3 => "RANK()".to_owned(),
            4 => "DENSE_RANK()".to_owned(),
            5 => format!("FIRST_VALUE({of})"),
            _ => format!("SUM({of})"),
        };
        let frame =
            if call.starts_with("SUM") { " ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW" } else { "" };
        let first = &from.columns[0];
        let body = format!(
            "SELECT {} AS pupil, {} AS c, {of} AS v, {call} OVER (PARTITION BY {partition} ORDER BY {order}{frame}) AS w \
             FROM {}",
            from.pupil, first.name, from.sql
        );
        let columns = vec![
            ("c".to_owned(), first.kind),
            ("v".to_owned(), Kind::Number(false)),
            ("w".to_owned(), Kind::Number(false)),
        ];
        self.subquery(&body, columns, from.rows, vec![from])
    }

    /// Rows of the same pupil side by side. One side has one row per pupil, so that the rows stay few.
    fn joined(&mut self, dice: &mut ChaCha8Rng, depth: u32) -> Source {
        let left = self.any(dice, depth - 1);
        let inner = self.table(pick(dice, self.schema.tables));
        let body = format!(
            "SELECT {} AS pupil, COUNT(*) AS n, MAX({}) AS v FROM {} GROUP BY {}",
            inner.pupil,
            number(dice, &inner.columns, 1),
            inner.sql,
            inner.pupil
        );
        let columns = vec![("n".to_owned(), Kind::Number(false)), ("v".to_owned(), Kind::Number(false))];
        let right = self.subquery(&body, columns, 1, vec![]);
        let kind = *pick(dice, &["JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN"]);
        let sql = format!("{} {kind} {} ON {} = {}", left.sql, right.sql, left.pupil, right.pupil);
        let mut columns = left.columns.clone();
        columns.extend(right.columns.clone());
        let pupil = if kind == "RIGHT JOIN" { &right.pupil } else { &left.pupil };
        Source { sql, pupil: pupil.clone(), columns, rows: left.rows + 1, simpler: vec![left, right] }
    }

    fn united(&mut self, dice: &mut ChaCha8Rng) -> Source {
        let sides: Vec<Source> = (0..2).map(|_| self.table(pick(dice, self.schema.tables))).collect();
        let side = |from: &Source, tag: &str, dice: &mut ChaCha8Rng| {
            let of = number(dice, &from.columns, 1);
            format!(
                "SELECT {} AS pupil, '{tag}' AS tag, CAST({of} AS DOUBLE) AS v FROM {}",
                from.pupil, from.sql
            )
        };
        let body = format!("{} UNION ALL {}", side(&sides[0], "x", dice), side(&sides[1], "y", dice));
        let columns =
            vec![("tag".to_owned(), Kind::Text(["x", "y"], true)), ("v".to_owned(), Kind::Number(false))];
        self.subquery(&body, columns, sides.iter().map(|side| side.rows).sum(), sides)
    }

    fn distinct(&mut self, dice: &mut ChaCha8Rng, table: &Table) -> Source {
        let from = self.table(table);
        let column = pick(dice, &from.columns).clone();
        let body = format!("SELECT DISTINCT {} AS pupil, {} AS c FROM {}", from.pupil, column.name, from.sql);
        self.subquery(&body, vec![("c".to_owned(), column.kind)], from.rows, vec![from])
    }

    /// Pupils in both tables, or in one and not the other.
    fn compared(&mut self, dice: &mut ChaCha8Rng) -> Source {
        let side = |sources: &mut Sources<'_>, dice: &mut ChaCha8Rng| {
            let from = sources.table(pick(dice, sources.schema.tables));
            format!(
                "SELECT {} AS pupil FROM {} WHERE {}",
                from.pupil,
                from.sql,
                condition(dice, &from.columns, 1)
            )
        };
        let how = *pick(dice, &["INTERSECT", "EXCEPT", "UNION"]);
        let body = format!("{} {how} {}", side(self, dice), side(self, dice));
        self.subquery(&body, vec![], 1, vec![])
    }

    fn beside_public(&mut self, dice: &mut ChaCha8Rng, table: &Table) -> Source {
        let from = self.table(table);
        let Some(place) = table.place else { return from };
        let public = self.table(&self.schema.public);
        let alias = public.pupil.trim_end_matches(".pupil").to_owned();
        let (left, right) = (from.pupil.trim_end_matches(".pupil"), self.schema.public.order);
        let (kind, on) = match dice.random_range(0..4) {
            0 => ("LEFT JOIN", format!("{left}.{place} = {alias}.{right}")),
            1 => ("JOIN", format!("{left}.{place} <> {alias}.{right}")),
            _ => ("JOIN", format!("{left}.{place} = {alias}.{right}")),
        };
        let sql = format!("{} {kind} {} ON {on}", from.sql, public.sql);
        let mut columns = from.columns.clone();
        columns.extend(public.columns);
        // Three rows of the public table in either contract.
        let rows = if on.contains("<>") { from.rows * 3 } else { from.rows };
        Source { sql, columns, rows, pupil: from.pupil.clone(), simpler: vec![from] }
    }
}
