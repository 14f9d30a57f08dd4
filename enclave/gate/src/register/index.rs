//! The first page: what this is, and all memoranda.

use ledger::LeafKind;
use maud::{Markup, html};

use super::page::{framed, paragraphs};
use super::{Source, memorandum_path};
use crate::bilingual::{both, head, none};
use crate::review::record::{micro, micro_or};

pub(super) fn page(source: &Source) -> String {
    let title = ("教育データの利用の公開台帳", "Public register of the use of education data");
    framed(title, "", source.records.len(), body(source))
}

fn body(source: &Source) -> Markup {
    let count = |kind: LeafKind| source.records.iter().filter(|record| record.kind == kind).count();
    html! {
        (paragraphs(
            "この市の教育データは、覚書を結んだ大学などの研究者が、決められた目的のために、統計としてだけ利用する。一人ひとりの記録が外に出ることはない。質問ごとに雑音を加え、人数の少ない区分は表示しない。何が尋ねられ、何が公開されたかを、ここで誰でも読むことができる。",
            "Universities and others under a memorandum use this city's education data for fixed purposes, and only as statistics. No pupil's records leave. Noise is added to every answer, and groups of few pupils are not shown. Everybody can read here what was asked and what was released.",
        ))
        dl {
            dt { (both("課金された質問", "Questions that were charged")) } dd { (count(LeafKind::Question)) }
            dt { (both("公開された回答", "Answers released")) } dd { (count(LeafKind::Release)) }
            dt { (both("拒否された質問・操作", "Questions and acts refused")) } dd { (count(LeafKind::Refusal)) }
            dt { (both("諮問委員会への付議", "Cases before the board")) } dd { (source.cases.len()) }
        }
        h2 { (both("覚書", "Memoranda")) }
        @if source.memoranda().next().is_none() { (none()) } @else {
            table {
                caption { (both("すべての覚書", "All memoranda")) }
                (head(&[("題名", "Title"), ("相手機関", "Institution"), ("期間", "Term"), ("質問", "Questions")]))
                tbody { @for id in source.memoranda() { (row(source, id)) } }
            }
        }
        h2 { (both("データセット全体の上限", "Caps over all memoranda")) }
        @if source.accounts.pools.is_empty() { (none()) } @else {
            table {
                caption { (both("単位はρ（プライバシー損失）", "In rho (privacy loss)")) }
                (head(&[("データセット", "Data set"), ("上限", "Cap"), ("使用", "Spent"), ("残り", "Left")]))
                tbody { @for (contract, sums) in &source.accounts.pools {
                    tr {
                        th scope="row" { (contract) }
                        td.number { (micro_or(sums.allotment_micro, "—")) }
                        td.number { (micro(sums.charged_micro)) }
                        td.number { (micro_or(sums.balance_micro(), "—")) }
                    }
                } }
            }
        }
    }
}

fn row(source: &Source, id: &str) -> Markup {
    let paper = source.published.memorandum(id, u64::MAX);
    let questions = source.of(id).filter(|record| record.kind == LeafKind::Question).count();
    html! {
        tr {
            th scope="row" {
                a href=(memorandum_path(id)) {
                    @if let Some(paper) = paper { (both(&paper.title.ja, &paper.title.en)) } @else { (id) }
                }
            }
            td { @if let Some(paper) = paper { (paper.institution) } }
            td { @if let Some(paper) = paper { (paper.from) " – " (paper.until) } }
            td.number { (questions) }
        }
    }
}
