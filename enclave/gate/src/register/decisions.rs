//! Every decision: cases before the board with the options it had, what was published, what was signed off.

use ledger::{Approval, LeafKind, Vote};
use maud::{Markup, html};

use super::page::{framed, paragraphs};
use super::{Source, memorandum_path, words};
use crate::bilingual::{both, head, none};
use crate::permissions::Action;
use crate::review::outcome_title;
use crate::review::record::{Record, day, micro, outcome};

pub(super) fn page(source: &Source) -> String {
    framed(("委員会の決定", "Decisions of the board"), "", source.records.len(), body(source))
}

fn body(source: &Source) -> Markup {
    let signed = |record: &&Record| record.is("review") && record.text("act") == "sign";
    let published = |record: &&Record| record.kind == LeafKind::Publish;
    html! {
        (paragraphs(
            "開示ルールの原則に触れる質問、制限付きの項目への質問、および二者の承認を要する行為は、諮問委員会が決める。委員会には、求められたまま承認する、理由を付けて認めない、問い返す、の三つの選択肢がある。承認されたものだけが、承認されたとおりに、期限内に一度だけ実行される。",
            "The advisory board decides on questions that touch a principle of the rules or a restricted item, and on acts that take two people. It has three options: to approve what is asked as it is, to reject it with a reason, or to ask back. What was approved runs as it was approved, once, within a term.",
        ))
        h2 { (both("付議された事項", "Cases")) }
        @if source.cases.is_empty() { (none()) }
        @for case in source.cases.iter().rev() { (told(source, case, "")) }
        h2 { (both("公表されたデータフォーマットと開示ルール", "Data formats and rule sets published")) }
        table {
            caption { (both("公表の順", "In order of publication")) }
            (head(&[("日付", "Day"), ("文書", "Document"), ("版", "Version"), ("ログ", "Log")]))
            tbody { @for record in source.records.iter().filter(published) {
                tr {
                    td { (record.day()) }
                    th scope="row" { (record.text("document")) " " (record.text("name")) }
                    td { (record.text("version")) }
                    td.number { (record.index) }
                }
            } }
        }
        h2 { (both("委員による月ごとの確認", "Months signed off by members")) }
        @if !source.records.iter().any(|record| signed(&record)) { (none()) } @else {
            ul { @for record in source.records.iter().filter(signed) {
                li {
                    (record.text("month")) ": " (both("委員一名が確認", "signed off by a member")) " " (record.day())
                    " (" (both("ログ", "log")) " " (record.index) ")"
                }
            } }
        }
    }
}

/// One case, with the options and what became of it. `up` leads to the top of the site.
pub(super) fn told(source: &Source, case: &Approval, up: &str) -> Markup {
    let now = source.now();
    let Some(record) = source.records.get(case.id as usize) else { return html! {} };
    let state = outcome(case, now);
    let (ja, en) = outcome_title(state);
    let votes = case.cast_for(None, now);
    let options = [
        (Vote::Approve, "求められたまま承認する", "approve as it is"),
        (Vote::Reject, "認めない", "reject"),
        (Vote::AskBack, "問い返す", "ask back"),
        (Vote::Answer, "（求めた者の回答）", "(answer by whoever asks)"),
    ];
    html! {
        article {
            h3 { (both("事項", "Case")) " " (case.id) ": " (both(ja, en)) }
            dl {
                dt { (both("付議された日", "Put before the board on")) } dd { (day(case.at)) }
                @if let Some(id) = &case.memorandum {
                    dt { (both("覚書", "Memorandum")) } dd { a href=(format!("{up}{}", memorandum_path(id))) { (id) } }
                }
                dt { (both("内容", "What")) }
                @if record.text("sql").is_empty() { dd { (case.subject) } } @else {
                    @let contract = contract_of(source, case);
                    @let words = words::words(record.text("sql"), record.texts("items"), contract);
                    dd {
                        p lang="ja" { (words.ja) } p lang="en" { (words.en) }
                        pre { code { (record.text("sql")) } }
                        p { "ρ " (micro(record.number("rho_micro"))) }
                    }
                }
                dt { (both("付議の理由", "Why it is the board's")) }
                @for (ja, en) in reasons(source, record) { dd { (both(&ja, &en)) } }
                dt { (both("検討された選択肢と投票", "Options considered, and votes")) }
                dd { ul { @for (vote, ja, en) in options {
                    @let cast: Vec<_> = votes.iter().filter(|cast| cast.vote == vote).collect();
                    @if vote != Vote::Answer || !cast.is_empty() {
                        li {
                            (both(ja, en)) ": " (cast.len())
                            @if !cast.is_empty() {
                                ul { @for cast in cast {
                                    li { (day(cast.at)) " " (cast.reason) " (" (both("ログ", "log")) " " (cast.leaf) ")" }
                                } }
                            }
                        }
                    }
                } } }
                dt { (both("必要な承認", "Approvals needed")) } dd { (case.votes) }
            }
        }
    }
}

fn contract_of<'s>(source: &'s Source, case: &Approval) -> Option<&'s memoranda::Contract> {
    let paper = source.published.memorandum(case.memorandum.as_deref()?, case.id)?;
    source.published.contract(&paper.contract, case.id)
}

/// Principles of the rule set that was in force, or the reasons of an act; those that name a person stay in the log.
fn reasons(source: &Source, record: &Record) -> Vec<(String, String)> {
    let (name, _) = record.text("rules").split_once('@').unwrap_or_default();
    let rules = source.published.rules(name, record.index);
    let principle = |id: &str| {
        let found = rules.and_then(|rules| rules.principles.iter().find(|principle| principle.id == id));
        found.map_or((id.to_owned(), String::new()), |principle| {
            (format!("{id}: {}", principle.reason_ja), principle.reason_en.clone())
        })
    };
    let mut all: Vec<(String, String)> = record.texts("principles").map(principle).collect();
    if record.text("subject") != Action::ChangePeople.name() {
        all.extend(record.texts("reasons").map(|reason| (String::new(), reason.to_owned())));
    }
    if all.is_empty() && !record.text("sql").is_empty() {
        let restricted = (
            "制限付きの項目は諮問委員会が事前に確認する",
            "restricted items: the board sees each question first",
        );
        all.push((restricted.0.to_owned(), restricted.1.to_owned()));
    }
    all
}
