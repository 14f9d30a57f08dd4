//! The review as plain text.

use std::fmt::{self, Write};

use super::Review;
use super::record::{micro, micro_or, numbers};

impl Review {
    /// For a terminal: one section a heading, one line a fact, log numbers in parentheses.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // A String takes all that is written to it.
        let _ = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "review of {}, {} leaves", self.period.name(), self.size)?;
        writeln!(out, "\nmemoranda")?;
        for memorandum in &self.memoranda {
            let sums = memorandum.rho;
            writeln!(
                out,
                "  {}  {}  until {}: charged {} rho in the period, {} in all, {} left",
                memorandum.id,
                memorandum.institution,
                memorandum.until,
                micro(memorandum.charged_micro),
                micro(sums.charged_micro),
                micro_or(sums.balance_micro(), "no cap"),
            )?;
            for purpose in &memorandum.purposes {
                writeln!(
                    out,
                    "    {}: {} questions, {} releases, {} given again, {} rho",
                    if purpose.purpose.is_empty() { "-" } else { &purpose.purpose },
                    purpose.questions,
                    purpose.releases,
                    purpose.replays,
                    micro(purpose.charged_micro),
                )?;
            }
            for asked in &memorandum.asked {
                let released = asked.release.map_or("nothing released".to_owned(), |leaf| {
                    format!("released {leaf}, {} groups", asked.groups_told.unwrap_or_default())
                });
                writeln!(
                    out,
                    "    {}  {}  {} rho  {}  ({}; {released})",
                    asked.day,
                    asked.person,
                    micro(asked.rho_micro),
                    asked.sql,
                    asked.leaf,
                )?;
            }
        }
        writeln!(out, "\npools")?;
        for (contract, sums) in &self.pools {
            let left = micro_or(sums.balance_micro(), "no cap");
            writeln!(out, "  {contract}: charged {} rho, {left} left", micro(sums.charged_micro))?;
        }
        writeln!(out, "\nrefusals by rule")?;
        for refused in &self.refusals {
            let (rule, leaves) = (&refused.rule, numbers(&refused.leaves));
            writeln!(out, "  {rule}: {} and {} previews ({leaves})", refused.refusals, refused.previews)?;
        }
        self.write_board(out)
    }

    fn write_board(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\nescalations")?;
        for case in &self.escalations {
            let under = case.memorandum.as_deref().unwrap_or("-");
            let reasons = case.reasons.join("; ");
            writeln!(
                out,
                "  {}  {}  {}  {under}  {}: {reasons} ({})",
                case.day, case.outcome, case.subject, case.person, case.approval
            )?;
            for vote in &case.votes {
                writeln!(
                    out,
                    "    {}  {}  {} {} ({})",
                    vote.day, vote.person, vote.vote, vote.reason, vote.leaf
                )?;
            }
        }
        writeln!(out, "\nitems used for the first time")?;
        for first in &self.first_uses {
            let tier = first.tier;
            writeln!(out, "  {}  {}  {}  {tier} ({})", first.day, first.memorandum, first.item, first.leaf)?;
        }
        writeln!(out, "\nunusual patterns")?;
        for pattern in &self.patterns {
            let (title, leaves) = (pattern.kind.title().1, numbers(&pattern.leaves));
            writeln!(out, "  {title}  {}: {} ({leaves})", pattern.memorandum, pattern.what)?;
        }
        writeln!(out, "\nfor the director or the board")?;
        for deviation in &self.deviations {
            let (whom, leaves) = (deviation.calls_for.title().1, numbers(&deviation.leaves));
            writeln!(out, "  {whom}: {}: {} ({leaves})", deviation.en, deviation.what)?;
        }
        writeln!(out, "\nnotes and sign-offs")?;
        for remark in &self.remarks {
            writeln!(
                out,
                "  {}  {}  {}: {} ({})",
                remark.day, remark.by, remark.act, remark.text, remark.leaf
            )?;
        }
        Ok(())
    }
}
