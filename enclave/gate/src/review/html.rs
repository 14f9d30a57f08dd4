//! The review as one page in Japanese and English, to read and to print: nothing is loaded, nothing runs.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::record::{micro, micro_or, numbers};
use super::{MemorandumReview, Review, chart};
use crate::bilingual::{both, head, none};

/// Of the page, on A4.
const STYLE: &str = "
:root { color-scheme: light; }
body { font: 10.5pt/1.5 'Noto Sans CJK JP', 'Hiragino Sans', 'Yu Gothic', sans-serif; color: #111; margin: 2rem auto; max-width: 190mm; padding: 0 1rem; }
h1 { font-size: 18pt; } h2 { font-size: 13pt; border-bottom: 1px solid #111; margin-top: 2em; break-after: avoid; } h3 { font-size: 11pt; break-after: avoid; }
[lang=en] { color: #444; font-weight: normal; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; padding: .3em 0; }
th, td { border: 1px solid #999; padding: .2em .5em; text-align: left; vertical-align: top; }
th { background: #eee; } td.n { text-align: right; font-variant-numeric: tabular-nums; } tr { break-inside: avoid; }
code { font: 9pt/1.4 monospace; overflow-wrap: anywhere; } svg { width: 100%; break-inside: avoid; }
.sign { height: 3em; }
@page { size: A4; margin: 18mm 15mm; }
@media print { body { margin: 0; max-width: none; padding: 0; } th { print-color-adjust: exact; } }
";

impl Review {
    /// One self-contained page.
    pub fn html(&self) -> String {
        let month = self.period.name();
        let page = html! {
            (DOCTYPE)
            html lang="ja" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "開示ログの点検 / Review of the disclosure log " (month) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { (both("開示ログの点検", "Review of the disclosure log")) " " (month) }
                    p {
                        (both("対象期間", "Period")) ": " (self.period.from) " – " (self.period.until) " · "
                        (both("ログの件数", "Leaves of the log")) ": " (self.size)
                    }
                    p { (both(
                        "括弧内の番号は開示ログの番号。すべてログと公開文書に基づく。",
                        "Numbers in parentheses are those of the log. Everything here is from the log and the published documents.",
                    )) }
                    (self.for_whom())
                    (self.charges())
                    (self.questions())
                    (self.refused())
                    (self.cases())
                    (self.firsts())
                    (self.unusual())
                    (self.members())
                }
            }
        };
        page.into_string()
    }

    fn for_whom(&self) -> Markup {
        html! {
            h2 { (both("所長・諮問委員会の判断を要する事項", "For the director or the board")) }
            @if self.deviations.is_empty() { (none()) } @else {
                table {
                    (head(&[("宛先", "For"), ("事項", "What"), ("対象", "Of what"), ("ログ", "Log")]))
                    tbody { @for deviation in &self.deviations {
                        @let (ja, en) = deviation.calls_for.title();
                        tr {
                            td { (both(ja, en)) }
                            td { (both(deviation.ja, deviation.en)) }
                            td { (deviation.what) }
                            td { (numbers(&deviation.leaves)) }
                        }
                    } }
                }
            }
        }
    }

    fn charges(&self) -> Markup {
        html! {
            h2 { (both("課金と残高", "Prices and balances")) }
            (chart::weeks(&self.weeks))
            table {
                caption { (both("単位はρ", "In rho")) }
                (head(&[("覚書・プール", "Memorandum or pool"), ("期間中", "In the period"), ("累計", "In all"), ("割当", "Allotment"), ("残高", "Balance")]))
                tbody {
                    @for memorandum in &self.memoranda {
                        tr {
                            th scope="row" { (memorandum.id) }
                            td.n { (micro(memorandum.charged_micro)) }
                            td.n { (micro(memorandum.rho.charged_micro)) }
                            td.n { (micro_or(memorandum.rho.allotment_micro, "—")) }
                            td.n { (micro_or(memorandum.rho.balance_micro(), "—")) }
                        }
                    }
                    @for (contract, sums) in &self.pools {
                        tr {
                            th scope="row" { (both("プール", "pool")) " " (contract) }
                            td.n { "" }
                            td.n { (micro(sums.charged_micro)) }
                            td.n { (micro_or(sums.allotment_micro, "—")) }
                            td.n { (micro_or(sums.balance_micro(), "—")) }
                        }
                    }
                }
            }
        }
    }

    fn questions(&self) -> Markup {
        html! {
            h2 { (both("質問と回答", "Questions and answers")) }
            @if self.memoranda.is_empty() { (none()) }
            @for memorandum in &self.memoranda { (questions_of(memorandum)) }
        }
    }

    fn refused(&self) -> Markup {
        html! {
            h2 { (both("規則別の拒否", "Refusals by rule")) }
            @if self.refusals.is_empty() { (none()) } @else {
                (chart::refusals(&self.refusals))
                table {
                    (head(&[("規則", "Rule"), ("質問・操作", "Questions and acts"), ("試算", "Previews"), ("ログ", "Log")]))
                    tbody { @for refused in &self.refusals {
                        tr {
                            th scope="row" { (refused.rule) }
                            td.n { (refused.refusals) }
                            td.n { (refused.previews) }
                            td { (numbers(&refused.leaves)) }
                        }
                    } }
                }
            }
        }
    }

    fn cases(&self) -> Markup {
        html! {
            h2 { (both("諮問委員会への付議", "Escalations to the board")) }
            @if self.escalations.is_empty() { (none()) }
            @for case in &self.escalations {
                @let (ja, en) = outcome_title(case.outcome);
                h3 { (case.approval) ". " (case.subject) " " (case.memorandum.as_deref().unwrap_or_default()) ": " (both(ja, en)) }
                p { (case.day) " " (case.person) @for reason in &case.reasons { br; (reason) } }
                @if !case.votes.is_empty() {
                    ul { @for vote in &case.votes {
                        li { (vote.day) " " (vote.person) ": " (vote.vote) " " (vote.reason) " (" (vote.leaf) ")" }
                    } }
                }
            }
        }
    }

    fn firsts(&self) -> Markup {
        html! {
            h2 { (both("初めて利用された項目", "Items used for the first time")) }
            @if self.first_uses.is_empty() { (none()) } @else {
                table {
                    (head(&[("項目", "Item"), ("区分", "Tier"), ("覚書", "Memorandum"), ("日付", "Day"), ("ログ", "Log")]))
                    tbody { @for first in &self.first_uses {
                        tr { td { (first.item) } td { (first.tier) } td { (first.memorandum) } td { (first.day) } td.n { (first.leaf) } }
                    } }
                }
            }
        }
    }

    fn unusual(&self) -> Markup {
        html! {
            h2 { (both("通常と異なる傾向", "Unusual patterns")) }
            @if self.patterns.is_empty() { (none()) } @else {
                ul { @for pattern in &self.patterns {
                    @let (ja, en) = pattern.kind.title();
                    li {
                        (both(ja, en)) " · " (pattern.memorandum) br;
                        code { (pattern.what) } " (" (numbers(&pattern.leaves)) ")"
                    }
                } }
            }
        }
    }

    fn members(&self) -> Markup {
        html! {
            h2 { (both("委員の所見と確認", "Notes and sign-offs of members")) }
            @for remark in &self.remarks {
                p {
                    (remark.day) " " (remark.by) " "
                    @if remark.act == "sign" { (both("確認済み", "signed off")) " " code { (remark.text) } }
                    @else { (both("所見", "note")) ": " (remark.text) }
                    " (" (remark.leaf) ")"
                }
            }
            table {
                caption { (both("署名欄", "Signatures")) }
                tbody { @for _ in 0..3 { tr { td.sign { (both("氏名", "Name")) } td.sign { (both("日付", "Date")) } } } }
            }
        }
    }
}

fn questions_of(memorandum: &MemorandumReview) -> Markup {
    let [en, ja] = &memorandum.title;
    html! {
        h3 { (memorandum.id) ": " (both(ja, en)) }
        p { (memorandum.institution) " · " (both("期限", "until")) " " (memorandum.until) }
        @if memorandum.purposes.is_empty() { (none()) } @else {
            table {
                caption { (both("利用目的別", "By use case")) }
                thead { tr {
                    th scope="col" { (both("利用目的", "Use case")) }
                    th scope="col" { (both("質問", "Questions")) }
                    th scope="col" { (both("回答", "Releases")) }
                    th scope="col" { (both("再提示", "Given again")) }
                    th scope="col" { "ρ" }
                } }
                tbody { @for purpose in &memorandum.purposes {
                    tr {
                        th scope="row" { (purpose.purpose) }
                        td.n { (purpose.questions) }
                        td.n { (purpose.releases) }
                        td.n { (purpose.replays) }
                        td.n { (micro(purpose.charged_micro)) }
                    }
                } }
            }
        }
        @if !memorandum.asked.is_empty() {
            table {
                caption { (both("課金された質問", "Questions that were charged")) }
                thead { tr {
                    th scope="col" { (both("日付", "Day")) }
                    th scope="col" { (both("質問者", "By")) }
                    th scope="col" { "SQL" }
                    th scope="col" { "ρ" }
                    th scope="col" { (both("群の数", "Groups")) }
                    th scope="col" { (both("ログ", "Log")) }
                } }
                tbody { @for asked in &memorandum.asked {
                    tr {
                        td { (asked.day) }
                        td { (asked.person) }
                        td { code { (asked.sql) } }
                        td.n { (micro(asked.rho_micro)) }
                        td.n { @if let Some(groups) = asked.groups_told { (groups) } @else { "—" } }
                        td { (asked.leaf) @if let Some(release) = asked.release { ", " (release) } }
                    }
                } }
            }
        }
    }
}

/// Outcomes of a case, in Japanese and English.
pub(crate) fn outcome_title(outcome: &str) -> (&'static str, &'static str) {
    match outcome {
        "open" => ("審議中", "open"),
        "asked-back" => ("照会中", "asked back"),
        "approved" => ("承認", "approved"),
        "rejected" => ("不承認", "rejected"),
        "used" => ("承認・実行済み", "approved and done"),
        _ => ("失効", "lapsed"),
    }
}
