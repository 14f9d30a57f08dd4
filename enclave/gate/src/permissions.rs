//! Who may do what: one table, role × action. Every act of the gate looks here first, and `docs/permissions.md` is
//! written from it.

use std::fmt::Write;

use memoranda::PersonRole;

/// Everything that can be done, in the order of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table says what each is")]
pub enum Action {
    PublishContract,
    InstallRules,
    DraftMemorandum,
    SignMemorandum,
    EndMemorandum,
    ReadMemoranda,
    ReadItems,
    Ingest,
    FindRecords,
    CorrectRecords,
    DeleteRecords,
    ExportRecords,
    DisposeRecords,
    ReadSnapshots,
    ExpireSnapshots,
    CheckVault,
    Backup,
    ListKeys,
    RotateKeys,
    DestroyKeys,
    EscrowKeys,
    Ask,
    Preview,
    ReadBudget,
    ReadApprovals,
    Vote,
    AnswerApproval,
    ReadLog,
    ExportLog,
    VerifyLog,
    ReviewLog,
    SignOffReview,
    WitnessLog,
    PruneLog,
    ReadCollusion,
    ReadPeople,
    ChangePeople,
    InvitePeople,
    EnrolFactor,
    StepUp,
    BuildRegister,
    ReadRegister,
}

/// What a row of the table says.
#[derive(Debug, Clone, Copy)]
pub struct Permission {
    /// Which action.
    pub action: Action,
    /// Its name in the log and in messages.
    pub name: &'static str,
    /// How it is typed.
    pub command: &'static str,
    /// Who may.
    pub roles: &'static [PersonRole],
    /// When it takes a steward and a member of the board; empty where one person is enough.
    pub two_people: &'static str,
}

const STEWARD: PersonRole = PersonRole::Steward;
const CUSTODIAN: PersonRole = PersonRole::Custodian;
const RESEARCHER: PersonRole = PersonRole::Researcher;
const BOARD: PersonRole = PersonRole::Board;
/// Also who is not registered.
const EVERYBODY: &[PersonRole] = &PersonRole::ALL;

/// The table.
#[rustfmt::skip]
pub const TABLE: [Permission; 42] = [
    row(Action::PublishContract, "publish a contract", "contract publish", &[STEWARD], "a larger pool, or a column newly tagged `inner-life`"),
    row(Action::InstallRules, "install a rule set", "rules install", &[STEWARD], "weaker than the one in force"),
    row(Action::DraftMemorandum, "draft and check a memorandum", "memorandum draft, check", &[STEWARD, CUSTODIAN, RESEARCHER, BOARD], ""),
    row(Action::SignMemorandum, "sign or amend a memorandum", "memorandum sign, amend", &[STEWARD], "a `restricted` item, or an amendment to weaker rules"),
    row(Action::EndMemorandum, "end a memorandum", "memorandum end", &[STEWARD], ""),
    row(Action::ReadMemoranda, "read memoranda", "memorandum list, show, diff, history, review", &[STEWARD, CUSTODIAN, BOARD], ""),
    row(Action::ReadItems, "read the items of a memorandum", "memorandum items", &[STEWARD, CUSTODIAN, RESEARCHER, BOARD], ""),
    row(Action::Ingest, "take records in", "ingest", &[CUSTODIAN], ""),
    row(Action::FindRecords, "find a pupil's records", "records find", &[CUSTODIAN], ""),
    row(Action::CorrectRecords, "correct records", "records correct, keep", &[CUSTODIAN], ""),
    row(Action::DeleteRecords, "delete a pupil's records", "records delete", &[CUSTODIAN], ""),
    row(Action::ExportRecords, "export a pupil's records", "records export", &[CUSTODIAN], ""),
    row(Action::DisposeRecords, "dispose of records", "records dispose", &[CUSTODIAN], ""),
    row(Action::ReadSnapshots, "list snapshots", "snapshots list", &[STEWARD, CUSTODIAN, BOARD], ""),
    row(Action::ExpireSnapshots, "expire and compact snapshots", "snapshots expire, vault compact", &[CUSTODIAN], ""),
    row(Action::CheckVault, "check and repair the store", "vault check", &[CUSTODIAN], ""),
    row(Action::Backup, "back the enclave up, and restore it", "backup, restore", &[STEWARD, CUSTODIAN], ""),
    row(Action::ListKeys, "list keys", "keys list", &[STEWARD, CUSTODIAN], ""),
    row(Action::RotateKeys, "rotate keys", "keys rotate", &[CUSTODIAN], ""),
    row(Action::DestroyKeys, "destroy keys", "keys destroy", &[STEWARD], "always"),
    row(Action::EscrowKeys, "split and recover the root key", "keys escrow", &[STEWARD], ""),
    row(Action::Ask, "ask", "ask", &[RESEARCHER], ""),
    row(Action::Preview, "preview a question", "ask --preview", &[RESEARCHER], ""),
    row(Action::ReadBudget, "read balances", "budget", &[STEWARD, RESEARCHER, BOARD], ""),
    row(Action::ReadApprovals, "read what waits for the board", "approvals list, show", &[STEWARD, RESEARCHER, BOARD], ""),
    row(Action::Vote, "vote", "approvals vote", &[BOARD], ""),
    row(Action::AnswerApproval, "answer the board", "approvals answer", &[STEWARD, RESEARCHER], ""),
    row(Action::ReadLog, "read the log", "log list, show, prove, verify, audit", &[STEWARD, CUSTODIAN, BOARD], ""),
    row(Action::ExportLog, "export the log", "log export", &[STEWARD, BOARD], ""),
    row(Action::VerifyLog, "verify an exported log or a receipt", "log verify DIR, receipt verify", EVERYBODY, ""),
    row(Action::ReviewLog, "review the log", "log review", &[STEWARD, BOARD], ""),
    row(Action::SignOffReview, "note and sign off a review", "log review note, sign", &[BOARD], ""),
    row(Action::WitnessLog, "witness the log", "log witness", &[STEWARD, BOARD], ""),
    row(Action::PruneLog, "prune the log", "log prune", &[STEWARD], ""),
    row(Action::ReadCollusion, "see what all releases tell together", "collusion", &[STEWARD, BOARD], ""),
    row(Action::ReadPeople, "read the register of people", "people list", &[STEWARD, CUSTODIAN, BOARD], ""),
    row(Action::ChangePeople, "change the register of people", "people add, role, remove, renew, policy", &[STEWARD], "who is a member of the board, once there is one"),
    row(Action::InvitePeople, "invite people to log in, and end their sessions", "people invite, log-out", &[STEWARD], "who is a member of the board and has a log-in"),
    row(Action::EnrolFactor, "enrol a second factor", "people factor enrol", &[STEWARD], ""),
    row(Action::StepUp, "show a second factor", "step-up, people factor confirm", &[STEWARD, CUSTODIAN, RESEARCHER, BOARD], ""),
    row(Action::BuildRegister, "build the public register", "register build", &[STEWARD, BOARD], ""),
    row(Action::ReadRegister, "read contracts, rule sets and the public register", "contract list, show; rules list", EVERYBODY, ""),
];

const fn row(
    action: Action,
    name: &'static str,
    command: &'static str,
    roles: &'static [PersonRole],
    two_people: &'static str,
) -> Permission {
    Permission { action, name, command, roles, two_people }
}

impl Action {
    /// Its row.
    pub fn permission(self) -> Permission {
        // INVARIANT: the table has its rows in the order of the actions; a test goes through them.
        TABLE[self as usize]
    }

    /// Its name in the log and in messages.
    pub fn name(self) -> &'static str {
        self.permission().name
    }

    /// Whether a role may.
    pub fn permits(self, role: PersonRole) -> bool {
        self.permission().roles.contains(&role)
    }

    /// Whether a researcher does it under a memorandum alone, as `MEMORANDUM/PERSON`: the role in the register, which belongs
    /// to no memorandum, does not open what is under all of them.
    pub fn is_under_memorandum(self) -> bool {
        matches!(self, Action::ReadItems | Action::ReadBudget | Action::ReadApprovals)
    }

    /// Whether it takes no registration.
    pub fn is_open(self) -> bool {
        self.permits(PersonRole::Public)
    }
}

/// The page `docs/permissions.md`.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Who may do what · 権限表\n\n\
         Written from the table in the program by `enclave people permissions --markdown`; a test compares. The gate\n\
         looks into the same table before every act.\n\n",
    );
    // A String takes all that is written to it.
    let _ = table(&mut page);
    page += "\n\
         **Two people**: where the last column says so, a steward proposes and a member of the board approves\n\
         (`enclave approvals vote`). The steward's command ends with exit code 5 and the number of an approval; after\n\
         the vote the same command with the same text takes effect, once.\n\n\
         **Researchers** ask by the list of people in their memorandum and need not be registered; elsewhere they act\n\
         as `--as MEMORANDUM/PERSON`. Items, balances and approvals are read in that way too: `researcher` in the register\n\
         lets nobody read them of all memoranda.\n\n\
         **Founding**: until the first steward is registered, acts are done, and logged, as `founder`. What needs two\n\
         people cannot be done before a steward and a member of the board are registered, except that a rule set of\n\
         a new name is not yet compared with `standard`.\n\n\
         **Dormant people** lose access: who was not seen for 180 days (`enclave people policy --dormant-days N`) is let\n\
         in again by a steward (`enclave people renew`). Where all stewards are dormant, none is kept out.\n";
    page
}

fn table(page: &mut String) -> std::fmt::Result {
    write!(page, "| action | command |")?;
    for role in PersonRole::ALL {
        write!(page, " {}<br>{} |", role.name(), role.name_ja())?;
    }
    writeln!(page, " two people |")?;
    writeln!(page, "|---|---|{}---|", ":-:|".repeat(PersonRole::ALL.len()))?;
    for row in TABLE {
        write!(page, "| {} | `{}` |", row.name, row.command)?;
        for role in PersonRole::ALL {
            write!(page, " {} |", if row.roles.contains(&role) { "●" } else { "" })?;
        }
        writeln!(page, " {} |", row.two_people)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_row() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.action as usize, index, "{}", row.name);
            assert_eq!(row.action.name(), row.name);
        }
        assert_eq!(Action::ReadRegister as usize + 1, TABLE.len());
    }

    #[test]
    fn who_reads_records_does_not_sign_and_who_votes_does_not_act() {
        for row in TABLE {
            let [steward, board] =
                [PersonRole::Steward, PersonRole::Board].map(|role| row.action.permits(role));
            assert!(row.two_people.is_empty() || (steward && !board), "{}", row.name);
        }
        for role in PersonRole::ALL {
            let records = Action::FindRecords.permits(role);
            assert!(!records || !Action::SignMemorandum.permits(role) && !Action::Ask.permits(role));
            assert!(!Action::Vote.permits(role) || !Action::Ask.permits(role));
        }
    }
}
