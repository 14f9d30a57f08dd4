//! Whether a memorandum fits the contract that it names.

use super::{Items, Memorandum};
use crate::contract::{Contract, Role, Table};
use crate::mistake::Mistake;

impl Memorandum {
    /// What in this memorandum does not fit `contract`: another contract, tables and columns that do not exist,
    /// identifiers. Pointers go into the memorandum's file.
    pub fn check_against(&self, contract: &Contract) -> Vec<Mistake> {
        if self.contract != contract.name {
            let message = format!("is about `{}`, not about `{}`", self.contract, contract.name);
            return vec![Mistake::new("/contract", message)];
        }
        let mut mistakes = Vec::new();
        for (index, items) in self.items.iter().enumerate() {
            match contract.table(&items.table) {
                Some(table) => mistakes.extend(check_columns(index, items, table)),
                None => {
                    let message = format!("no table `{}` in contract `{}`", items.table, contract.name);
                    mistakes.push(Mistake::new(format!("/items/{index}/table"), message));
                }
            }
        }
        mistakes
    }
}

fn check_columns(index: usize, items: &Items, table: &Table) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (position, name) in items.columns.iter().enumerate() {
        let message = match table.column(name).map(|column| column.role) {
            Some(Role::Attribute | Role::Unit) => continue,
            Some(Role::Identifier) => {
                format!("`{name}` of `{}` identifies pupils: no memorandum gives it", table.name)
            }
            None => format!("no column `{name}` in table `{}`", table.name),
        };
        mistakes.push(Mistake::new(format!("/items/{index}/columns/{position}"), message));
    }
    mistakes
}
