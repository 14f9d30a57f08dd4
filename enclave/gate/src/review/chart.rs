//! Charts as inline SVG: bars that read in black and white too, with their numbers beside them.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::record::micro;
use super::{Refused, Week};

/// Width of a chart, in its own units.
const WIDTH: usize = 680;
/// Height of the area of upright bars.
const HEIGHT: usize = 180;
/// Fills that differ in darkness, all outlined.
const FILLS: [&str; 6] = ["#1b4f72", "#5dade2", "#d5e8f5", "#7d6608", "#d4ac0d", "#f7e9a0"];

/// ρ per week, stacked by memorandum.
pub(super) fn weeks(weeks: &[Week]) -> Markup {
    let mut order: BTreeMap<&str, usize> = BTreeMap::new();
    for id in weeks.iter().flat_map(|week| week.charged_micro.keys()) {
        let next = order.len();
        order.entry(id).or_insert(next);
    }
    let totals: Vec<u64> = weeks.iter().map(|week| week.charged_micro.values().sum()).collect();
    let most = totals.iter().copied().max().unwrap_or_default().max(1);
    let slot = (WIDTH - 40) / weeks.len().max(1);
    let bar = slot * 3 / 5;
    let height = |micro: u64| (micro as f64 / most as f64 * HEIGHT as f64).round();
    let legend = HEIGHT + 60;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", legend + order.len() * 20)) role="img" {
            title { "覚書・週別の課金（ρ） / Charge per memorandum and week (rho)" }
            @for (i, (week, total)) in weeks.iter().zip(&totals).enumerate() {
                @let x = 20 + i * slot;
                @for (bottom, id, micro) in stacked(week) {
                    @let top = HEIGHT as f64 + 20.0 - height(bottom) - height(micro);
                    rect x=(x) y=(top) width=(bar) height=(height(micro)) fill=(fill(order[id])) stroke="#222" {}
                }
                @if *total > 0 {
                    text x=(x) y=(HEIGHT as f64 + 14.0 - height(*total)) font-size="11" { (micro(*total)) }
                }
                text x=(x) y=(HEIGHT + 36) font-size="11" { (week.monday.format("%m-%d").to_string()) }
            }
            line x1="10" x2=(WIDTH - 10) y1=(HEIGHT + 20) y2=(HEIGHT + 20) stroke="#222" {}
            @for (id, place) in &order {
                rect x="20" y=(legend + place * 20 - 11) width="12" height="12" fill=(fill(*place)) stroke="#222" {}
                text x="40" y=(legend + place * 20) font-size="12" { (id) }
            }
        }
    }
}

/// Refusals by rule, lying bars.
pub(super) fn refusals(refusals: &[Refused]) -> Markup {
    let most = refusals.iter().map(|refused| refused.leaves.len()).max().unwrap_or(1);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", refusals.len() * 24 + 8)) role="img" {
            title { "規則別の拒否 / Refusals by rule" }
            @for (i, refused) in refusals.iter().enumerate() {
                @let count = refused.leaves.len();
                @let width = count * (WIDTH - 280) / most;
                text x="0" y=(i * 24 + 17) font-size="12" { (refused.rule) }
                rect x="200" y=(i * 24 + 4) width=(width) height="16" fill=(FILLS[0]) stroke="#222" {}
                text x=(width + 208) y=(i * 24 + 17) font-size="12" { (count) }
            }
        }
    }
}

/// The parts of a bar from below: where each begins, whose it is, and how high it is.
fn stacked(week: &Week) -> Vec<(u64, &str, u64)> {
    let mut bottom = 0;
    let mut stacked = Vec::new();
    for (id, micro) in &week.charged_micro {
        stacked.push((bottom, id.as_str(), *micro));
        bottom += micro;
    }
    stacked
}

fn fill(place: usize) -> &'static str {
    FILLS[place % FILLS.len()]
}
