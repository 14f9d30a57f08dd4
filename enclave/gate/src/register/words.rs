//! A question in words, from its SQL as the log has it and the titles of its contract. Words say no more than the SQL.

use memoranda::{Bilingual, Contract};
use sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
    GroupByExpr, Select, SelectItem, SetExpr,
};

use crate::review::sql::{conjuncts, parse};

/// The same in Japanese and English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) ja: String,
    pub(super) en: String,
}

impl Words {
    fn new(ja: impl Into<String>, en: impl Into<String>) -> Words {
        Words { ja: ja.into(), en: en.into() }
    }

    /// The same code in both languages.
    fn code(text: impl ToString) -> Words {
        Words::new(text.to_string(), text.to_string())
    }
}

/// Functions with a name of their own.
#[rustfmt::skip]
const FUNCTIONS: [(&str, &str, &str); 8] = [
    ("avg", "の平均", "mean of"),
    ("mean", "の平均", "mean of"),
    ("sum", "の合計", "sum of"),
    ("median", "の中央値", "median of"),
    ("min", "の最小値", "minimum of"),
    ("max", "の最大値", "maximum of"),
    ("stddev", "の標準偏差", "standard deviation of"),
    ("var_samp", "の分散", "variance of"),
];

/// What was asked, in words; where the SQL is of no simple form, which items it uses.
pub(super) fn words<'i>(
    sql: &str,
    items: impl Iterator<Item = &'i str>,
    contract: Option<&Contract>,
) -> Words {
    contract.and_then(|contract| simple(sql, contract)).unwrap_or_else(|| {
        let item = |item: &str| -> Words {
            let column = item.split_once('.').zip(contract);
            let column = column.and_then(|((table, column), contract)| contract.table(table)?.column(column));
            column.map_or_else(|| Words::code(item), |column| titled(&column.title, &column.name))
        };
        let items = joined(items.map(item).collect());
        Words::new(format!("{}を用いた質問。", items.ja), format!("A question that uses {}.", items.en))
    })
}

/// Names of the answer's columns, as the SQL gives them; `None` where it does not for each.
pub(super) fn headings(sql: &str) -> Option<Vec<String>> {
    let query = parse(sql)?;
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    let heading = |item: &SelectItem| match item {
        SelectItem::UnnamedExpr(expr) => Some(expr.to_string()),
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
        _ => None,
    };
    select.projection.iter().map(heading).collect()
}

fn simple(sql: &str, contract: &Contract) -> Option<Words> {
    let query = parse(sql)?;
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if query.with.is_some() || select.having.is_some() || select.distinct.is_some() {
        return None;
    }
    let measures: Vec<Words> = measured(select).into_iter().map(|expr| measure(expr, contract)).collect();
    let measures = joined((!measures.is_empty()).then_some(measures)?);
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else { return None };
    if !modifiers.is_empty() {
        return None;
    }
    let keys = joined(keys.iter().map(|key| named(key, contract)).collect());
    let mut conditions = Vec::new();
    if let Some(selection) = &select.selection {
        conjuncts(selection, &mut |expr| conditions.push(condition(expr, contract)));
    }
    let conditions = joined_by(conditions, "かつ", " and ");
    let mut ja = String::new();
    let mut en = format!("The {}", measures.en);
    if !keys.ja.is_empty() {
        ja += &format!("{}別の", keys.ja);
        en += &format!(", by {}", keys.en);
    }
    if !conditions.ja.is_empty() {
        ja = format!("「{}」にあたる記録について、{ja}", conditions.ja);
        en += &format!(", where {}", conditions.en);
    }
    Some(Words::new(format!("{ja}{}。", measures.ja), format!("{en}.")))
}

/// The expressions of SELECT that are no keys.
fn measured(select: &Select) -> Vec<&Expr> {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return vec![] };
    let exprs = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    exprs.filter(|expr| !keys.contains(expr) && column(expr).is_none()).collect()
}

fn measure(expr: &Expr, contract: &Contract) -> Words {
    let Expr::Function(function) = expr else { return Words::code(expr) };
    let name = function.name.to_string().to_lowercase();
    let (Some((argument, distinct)), None, None) = (argument(function), &function.filter, &function.over)
    else {
        return Words::code(expr);
    };
    match (name.as_str(), argument) {
        ("count", None) => Words::new("記録の件数", "number of records"),
        ("count", Some(argument)) if distinct && is_unit(argument, contract) => {
            Words::new("児童生徒の人数", "number of pupils")
        }
        ("count", Some(argument)) => {
            let of = named(argument, contract);
            match distinct {
                true => Words::new(
                    format!("{}の種類の数", of.ja),
                    format!("number of different values of {}", of.en),
                ),
                false => Words::new(
                    format!("{}のある記録の件数", of.ja),
                    format!("number of records with {}", of.en),
                ),
            }
        }
        (name, Some(argument)) => match FUNCTIONS.iter().find(|(known, ..)| *known == name) {
            Some((_, ja, en)) => {
                let of = named(argument, contract);
                Words::new(format!("{}{ja}", of.ja), format!("{en} {}", of.en))
            }
            None => Words::code(expr),
        },
        _ => Words::code(expr),
    }
}

/// The only argument, `None` for `*`; and DISTINCT.
fn argument(function: &Function) -> Option<(Option<&Expr>, bool)> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] => Some((None, distinct)),
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some((Some(expr), distinct)),
        _ => None,
    }
}

fn condition(expr: &Expr, contract: &Contract) -> Words {
    let Expr::BinaryOp { left, op, right } = expr else { return Words::code(expr) };
    let plain = matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    );
    match right.as_ref() {
        Expr::Value(_) if plain => {
            let of = named(left, contract);
            Words::new(format!("{} {op} {right}", of.ja), format!("{} {op} {right}", of.en))
        }
        _ => Words::code(expr),
    }
}

/// A column's name in an expression.
fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Identifier(name) => Some(&name.value),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.as_str()),
        _ => None,
    }
}

fn is_unit(expr: &Expr, contract: &Contract) -> bool {
    let name = column(expr);
    contract.tables.iter().any(|table| table.unit_column().is_some() && table.unit_column() == name)
}

fn named(expr: &Expr, contract: &Contract) -> Words {
    let found = column(expr).and_then(|name| {
        let same = |own: &memoranda::Column| own.name.eq_ignore_ascii_case(name);
        contract.tables.iter().flat_map(|table| &table.columns).find(|column| same(column))
    });
    found.map_or_else(|| Words::code(expr), |column| titled(&column.title, &column.name))
}

/// A title, or the name where there is none.
pub(super) fn titled(title: &Bilingual, name: &str) -> Words {
    let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let en = or(&title.en, name);
    Words { ja: or(&title.ja, &en), en }
}

fn joined(all: Vec<Words>) -> Words {
    joined_by(all, "・", ", ")
}

fn joined_by(all: Vec<Words>, ja: &str, en: &str) -> Words {
    let (all_ja, all_en): (Vec<String>, Vec<String>) =
        all.into_iter().map(|words| (words.ja, words.en)).unzip();
    Words { ja: all_ja.join(ja), en: all_en.join(en) }
}

#[cfg(test)]
mod tests {
    use super::{headings, words};
    use memoranda::datapackage;

    #[test]
    fn a_simple_question_is_told_in_words_and_another_by_its_items() {
        let text = include_str!("../../../../datasets-synthetic/formats/star/datapackage.json");
        let contract = datapackage::parse(text).ok();
        let told = |sql: &str| {
            let items = ["results.gr", "results.math"];
            let words = words(sql, items.into_iter(), contract.as_ref());
            (words.ja, words.en)
        };
        let sql = "SELECT cltype, COUNT(*) AS n, AVG(math) AS m FROM results WHERE gr = 'K' GROUP BY cltype";
        let (ja, en) = told(sql);
        assert!(ja.contains("学年 = 'K'") && ja.contains("記録の件数・算数の尺度得点の平均"), "{ja}");
        assert!(
            en.starts_with("The number of records, mean of Mathematics, scaled score, by Class type"),
            "{en}"
        );
        assert_eq!(headings(sql).unwrap_or_default(), ["cltype", "n", "m"]);
        let (ja, en) = told("SELECT ? FROM ? WHERE");
        assert_eq!(ja, "学年・算数の尺度得点を用いた質問。");
        assert_eq!(en, "A question that uses Grade, Mathematics, scaled score.");
        assert_eq!(headings("SELECT * FROM results"), None);
    }
}
