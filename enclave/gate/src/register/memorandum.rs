//! One memorandum: with whom, what for, which items, what was asked and released, and how privacy was protected.

use std::collections::BTreeMap;

use disclosure_rules::account::{Loss, PureEpsilon};
use disclosure_rules::{Cost, Rho};
use ledger::LeafKind;
use maud::{Markup, html};
use memoranda::{Contract, Memorandum};

use super::page::{framed, paragraphs};
use super::{Source, decisions, words};
use crate::answered::{self, Cell, Number, Recorded};
use crate::bilingual::{both, head, none};
use crate::review::record::{Record, micro, micro_or};

/// Rows of a released table that the page shows.
const ROWS_MOST: usize = 200;

pub(super) fn page(source: &Source, id: &str) -> String {
    let paper = source.published.memorandum(id, u64::MAX);
    let title = paper.map_or((id, id), |paper| (paper.title.ja.as_str(), paper.title.en.as_str()));
    framed(title, "../", source.records.len(), body(source, id, paper))
}

fn body(source: &Source, id: &str, paper: Option<&Memorandum>) -> Markup {
    let contract = paper.and_then(|paper| source.published.contract(&paper.contract, u64::MAX));
    let cases: Vec<_> = source.cases.iter().filter(|case| case.memorandum.as_deref() == Some(id)).collect();
    html! {
        @if let Some(paper) = paper {
            (agreement(source, paper))
            (items(paper, contract))
            (protection(source, paper))
        }
        (questions(source, id, paper))
        h2 { (both("拒否された質問", "Questions refused")) }
        (refusals(source, id))
        h2 { (both("諮問委員会の決定", "Decisions of the board")) }
        @if cases.is_empty() { (none()) }
        @for case in cases { (decisions::told(source, case, "../")) }
    }
}

fn agreement(source: &Source, paper: &Memorandum) -> Markup {
    let ended = source.of(&paper.id).find(|record| record.kind == LeafKind::End);
    let versions = source
        .of(&paper.id)
        .filter(|record| matches!(record.kind, LeafKind::Signature | LeafKind::Amendment));
    let mut roles: BTreeMap<&str, (&str, u64)> = BTreeMap::new();
    for person in &paper.people {
        roles.entry(person.role.name()).or_insert((person.role.name_ja(), 0)).1 += 1;
    }
    html! {
        dl {
            dt { (both("番号", "Id")) } dd { (paper.id) }
            dt { (both("相手機関", "Institution")) } dd { (paper.institution) }
            dt { (both("目的", "Purpose")) } dd lang="ja" { (paper.purpose.ja) } dd lang="en" { (paper.purpose.en) }
            dt { (both("利用目的の区分", "Use cases")) } dd { (paper.use_cases.join(", ")) }
            dt { (both("期間", "Term")) } dd { (paper.from) " – " (paper.until) }
            @if let Some(end) = ended {
                dt { (both("終了", "Ended")) } dd { (end.day()) " (" (both("ログ", "log")) " " (end.index) ")" }
            }
            dt { (both("関係者（役割と人数）", "People, by role")) }
            dd { ul { @for (en, (ja, count)) in &roles { li { (both(ja, en)) ": " (count) } } } }
            dt { (both("版", "Versions")) }
            dd { ul { @for version in versions {
                li { (version.number("version")) ": " (version.day()) " (" (both("ログ", "log")) " " (version.index) ")" }
            } } }
        }
    }
}

fn items(paper: &Memorandum, contract: Option<&Contract>) -> Markup {
    html! {
        h2 { (both("利用できる項目", "Items that may be used")) }
        @if let Some(contract) = contract {
            table {
                caption { (both("データセット", "Data set")) " " (contract.name) }
                (head(&[("表", "Table"), ("項目", "Item"), ("名前", "Name"), ("区分", "Tier")]))
                tbody { @for (table, column, tier) in paper.tiers(contract) {
                    @let found = contract.table(table).and_then(|table| Some((table, table.column(column)?)));
                    tr {
                        @if let Some((table, column)) = found {
                            @let (of, item) = (words::titled(&table.title, &table.name), words::titled(&column.title, &column.name));
                            td { (both(&of.ja, &of.en)) }
                            th scope="row" { (both(&item.ja, &item.en)) }
                        }
                        td { code { (table) "." (column) } }
                        td { (tier.name()) }
                    }
                } }
            }
        }
    }
}

fn protection(source: &Source, paper: &Memorandum) -> Markup {
    let rules = source.published.rules(&paper.rules, u64::MAX);
    let sums = source.accounts.memoranda.get(&paper.id).copied().unwrap_or_default();
    html! {
        h2 { (both("プライバシーの保護", "How privacy is protected")) }
        (paragraphs(
            "回答の数値には、一人の児童生徒の記録があってもなくても結果がほとんど変わらないように、雑音を加える（差分プライバシー）。質問ごとの損失は合計され、割当を超える質問はできない。",
            "Noise is added to the numbers of every answer, so that it hardly matters whether any one pupil's records are there (differential privacy). Losses add up over questions, and none is answered beyond the allotment.",
        ))
        dl {
            dt { (both("割当（ρ）", "Allotment (rho)")) } dd { (micro_or(sums.allotment_micro, "—")) }
            dt { (both("使用（ρ）", "Spent (rho)")) } dd { (micro(sums.charged_micro)) }
            dt { (both("残り（ρ）", "Left (rho)")) } dd { (micro_or(sums.balance_micro(), "—")) }
            @if let Some(rules) = rules {
                dt { (both("開示ルール", "Rule set")) } dd { (rules.name) " " (rules.version) }
                dt { (both("表示する最少の人数", "Fewest pupils of a cell that is shown")) }
                dd { (rules.small_cells.min_units.0) " (" (rules.small_cells.assurance) ")" }
            }
        }
    }
}

fn questions(source: &Source, id: &str, paper: Option<&Memorandum>) -> Markup {
    let of = |kind: LeafKind| source.of(id).filter(move |record| record.kind == kind);
    let releases: BTreeMap<u64, &Record> =
        of(LeafKind::Release).map(|record| (record.number("question_leaf"), record)).collect();
    html! {
        h2 { (both("質問と回答", "Questions and answers")) }
        @if of(LeafKind::Question).next().is_none() { (none()) }
        @for question in of(LeafKind::Question) {
            article {
                h3 { (both("質問", "Question")) " " (question.index) }
                (asked(source, question, paper))
                @match releases.get(&question.index) {
                    Some(release) => (released(source, question, release)),
                    None => (paragraphs("回答は公開されなかった。", "No answer was released.")),
                }
            }
        }
    }
}

fn asked(source: &Source, question: &Record, paper: Option<&Memorandum>) -> Markup {
    let contract = source.published.contract(question.text("contract"), question.index);
    let words = words::words(question.text("sql"), question.texts("items"), contract);
    let charged =
        loss(question).zip(paper).map(|(loss, paper)| answered::charged(loss, paper.allotment.delta));
    html! {
        p lang="ja" { (words.ja) } p lang="en" { (words.en) }
        pre { code { (question.text("sql")) } }
        dl {
            dt { (both("日付", "Day")) } dd { (question.day()) }
            @if !question.text("purpose").is_empty() {
                dt { (both("利用目的", "Use case")) } dd { (question.text("purpose")) }
            }
            dt { (both("プライバシー損失", "Privacy loss")) }
            dd {
                "ρ " (micro(question.number("rho_micro")))
                @if let Some(charged) = charged { ", ε " (charged.epsilon) " (δ " (format!("{:e}", charged.delta)) ")" }
            }
            @if let Some(approval) = question.facts["approval"].as_u64() {
                dt { (both("諮問委員会の承認", "Approved by the board")) }
                dd { a href="../decisions.html" { (both("事項", "case")) " " (approval) } }
            }
            dt { (both("開示ルール", "Rule set")) } dd { (question.text("rules")) }
        }
    }
}

/// What a question cost, as its leaf states it.
fn loss(question: &Record) -> Option<Loss> {
    let rho = Rho::from_micro(question.number("rho_micro")).ok()?;
    let threshold_delta = question.facts["threshold_delta"].as_f64()?;
    match question.facts["epsilon_micro"].as_u64() {
        None => Some(Loss::Concentrated(Cost { rho, threshold_delta })),
        Some(micro) => Some(Loss::Pure(PureEpsilon::from_micro(micro)?)),
    }
}

fn released(source: &Source, question: &Record, release: &Record) -> Markup {
    let replays = source.records.iter().filter(|record| {
        record.kind == LeafKind::Replay && record.facts["release_index"].as_u64() == Some(release.index)
    });
    html! {
        dl {
            dt { (both("雑音", "Noise")) } dd { (release.text("mechanism")) }
            dt { (both("公開された区分の数", "Groups released")) } dd { (release.number("groups_told")) }
            dt { (both("同じ回答の再提示", "The same answer given again")) } dd { (replays.count()) }
        }
        @match source.answers.get(&release.index) {
            Some(recorded) => (table(question, release, recorded)),
            None => (paragraphs("回答の本文は、もう保存されていない。", "The answer itself is not kept any more.")),
        }
    }
}

fn table(question: &Record, release: &Record, recorded: &Recorded) -> Markup {
    let named = words::headings(question.text("sql")).filter(|names| names.len() == recorded.columns.len());
    let heading = |i: usize| match &named {
        Some(names) => names[i].clone(),
        None => recorded.columns[i].aggregate.clone().unwrap_or_else(|| recorded.columns[i].role.clone()),
    };
    html! {
        table {
            caption {
                (both("回答", "Answer")) " (" (both("ログ", "log")) " " (release.index) ")"
                @if recorded.rows.len() > ROWS_MOST {
                    " " (both("最初の行のみ", "first rows only")) ": " (ROWS_MOST) " / " (recorded.rows.len())
                }
            }
            thead { tr { @for (i, column) in recorded.columns.iter().enumerate() {
                th scope="col" {
                    (heading(i))
                    @if let Some(scale) = column.scale {
                        br; (both("雑音の大きさ", "noise scale")) " " (scale)
                    }
                }
            } } }
            tbody { @for row in recorded.rows.iter().take(ROWS_MOST) {
                tr { @for cell in row { (told(cell)) } }
            } }
        }
    }
}

fn told(cell: &Cell) -> Markup {
    let number = |number: &Number| match number {
        Number::Integer(integer) => integer.to_string(),
        Number::Float(float) => format!("{float}"),
    };
    let end = |end: &Option<Number>| end.as_ref().map_or("…".to_owned(), number);
    match cell {
        Cell::Noisy { value, low, high } => html! {
            td.number { (number(value)) " (" (end(low)) " – " (end(high)) ")" }
        },
        Cell::Hidden { .. } => html! { td.hidden { (both("非表示（少人数）", "hidden (few pupils)")) } },
        Cell::Number(plain) => html! { td.number { (number(plain)) } },
        Cell::Key(key) => html! { th scope="row" { (key.to_string()) } },
    }
}

fn refusals(source: &Source, id: &str) -> Markup {
    let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
    for record in source.of(id).filter(|record| record.kind == LeafKind::Refusal) {
        *rules.entry(record.text("rule")).or_default() += 1;
    }
    html! {
        @if rules.is_empty() { (none()) } @else {
            table {
                caption { (both("規則別の件数", "By rule")) }
                (head(&[("規則", "Rule"), ("件数", "Number")]))
                tbody { @for (rule, count) in &rules {
                    tr { th scope="row" { (rule) } td.number { (count) } }
                } }
            }
        }
    }
}
