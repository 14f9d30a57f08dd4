//! `enclave snapshots list|expire`

use std::path::Path;

use serde_json::json;
use vault::{Expiry, SnapshotEntry};

use crate::args::ListFormat;
use crate::args::records::{Snapshots, SnapshotsCommand};
use crate::command::open;
use crate::command::records::tell_pinned;
use crate::outcome::{Done, put};

/// Snapshots that stay where nothing is said.
const KEEP: u64 = 3;

pub(crate) fn run(home: &Path, args: &Snapshots) -> Done {
    match &args.command {
        SnapshotsCommand::List { contract, format } => {
            let snapshots = open(home)?.snapshots(contract)?;
            let text = match format {
                ListFormat::Json => {
                    let entry = |entry: &SnapshotEntry| {
                        json!({
                            "number": entry.number,
                            "id": entry.id,
                            "made": entry.made,
                            "contract_version": entry.contract_version,
                            "in_force": entry.in_force,
                            "pinned": entry.pinned,
                            "files": entry.files,
                            "bytes": entry.bytes,
                        })
                    };
                    format!("{:#}\n", json!(snapshots.iter().map(entry).collect::<Vec<_>>()))
                }
                ListFormat::Table => snapshots.iter().map(line).collect(),
            };
            put(text.as_bytes())
        }
        SnapshotsCommand::Expire { contract, keep, older_than } => {
            let which = match older_than {
                Some(days) => Expiry::OlderThanDays(*days),
                None => Expiry::Keep(keep.unwrap_or(KEEP)),
            };
            let expired = open(home)?.expire_snapshots(contract, which)?;
            put(format!("{} snapshots have expired\n", expired.expired.len()).as_bytes())?;
            tell_pinned(contract, &expired);
            Ok(())
        }
    }
}

fn line(entry: &SnapshotEntry) -> String {
    let state = match (entry.in_force, entry.pinned) {
        (true, _) => "in force",
        (false, true) => "being read",
        (false, false) => "",
    };
    let id = entry.id.as_deref().unwrap_or("damaged");
    format!("{}\t{id}\t{} files\t{} bytes\t{state}\n", entry.number, entry.files, entry.bytes)
}
