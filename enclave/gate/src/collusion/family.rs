//! What releases of one family say of each other. A family reads the same snapshot, relation and conditions, apart from
//! keys that a condition sets to one value: such a question is a part of the one that groups by that key.
//!
//! Every cell is a variable. A count of rows is the sum of its parts in every complete, finer release; pupils, who may be
//! in several parts unless the question shows otherwise, are at most that sum and at least its largest part. Pupils are no more than rows, and cells with a
//! value no more than cells.

use std::collections::{BTreeMap, BTreeSet};

/// Keys and their values, as JSON: which pupils' rows a cell counts.
pub(super) type Place = BTreeMap<String, String>;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    /// Rows; with a value of the argument, where one is named.
    Rows(Option<String>),
    /// Pupils; with a value of the argument, where one is named.
    Pupils(Option<String>),
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, argument) = match self {
            Measure::Rows(argument) => ("rows", argument),
            Measure::Pupils(argument) => ("pupils", argument),
        };
        match argument {
            None => f.write_str(what),
            Some(argument) => write!(f, "{what} with {argument}"),
        }
    }
}

/// What a release says of one cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Told {
    /// A noisy number and its interval; an end may be infinite.
    Shown { low: f64, high: f64 },
    /// Hidden as a small cell; the half-width that its 95% interval would have had.
    Hidden { half_width: f64 },
}

/// One released table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// Number of the release's leaf.
    pub(super) leaf: u64,
    /// Keys that a condition sets.
    pub(super) fixed: Place,
    /// Whether every group is in it.
    pub(super) complete: bool,
    /// Whether a pupil is in one group at most.
    pub(super) disjoint: bool,
    /// Cells by what they count and where.
    pub(super) cells: BTreeMap<(Measure, Place), Told>,
}

/// A cell of the family, and everything that was told of it.
#[derive(Debug, Clone)]
pub(super) struct Variable {
    pub(super) measure: Measure,
    pub(super) place: Place,
    /// By leaf.
    pub(super) told: Vec<(u64, Told)>,
}

/// How the sum of some cells stands to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Relation {
    /// The parts make up the whole.
    Equal,
    /// The parts are no more than the whole.
    AtMost,
    /// The parts are at least the whole.
    AtLeast,
}

/// Σ parts (relation) whole, by number of variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Constraint {
    pub(super) parts: Vec<usize>,
    pub(super) relation: Relation,
    pub(super) whole: usize,
}

/// The variables and constraints of a family.
#[derive(Debug, Default)]
pub(super) struct System {
    pub(super) variables: Vec<Variable>,
    pub(super) constraints: BTreeSet<Constraint>,
    numbers: BTreeMap<(Measure, Place), usize>,
}

impl System {
    /// Everything that the tables of a family say; `None` if they have more than `most` cells.
    pub(super) fn of(tables: &[Table], most: usize) -> Option<System> {
        let mut system = System::default();
        for table in tables {
            for ((measure, place), told) in &table.cells {
                let number = system.number(measure, place);
                system.variables[number].told.push((table.leaf, *told));
            }
            if system.variables.len() > most {
                return None;
            }
        }
        system.common_totals(tables, most)?;
        for table in tables {
            system.sums(table);
        }
        system.measures();
        Some(system)
    }

    fn number(&mut self, measure: &Measure, place: &Place) -> usize {
        let key = (measure.clone(), place.clone());
        let next = self.variables.len();
        *self.numbers.entry(key).or_insert_with(|| {
            self.variables.push(Variable { measure: measure.clone(), place: place.clone(), told: vec![] });
            next
        })
    }

    /// Totals that nobody asked for, but that two tables have in common: by sex and grade, and by sex and school, both
    /// say how many there are by sex.
    fn common_totals(&mut self, tables: &[Table], most: usize) -> Option<()> {
        for (i, one) in tables.iter().enumerate() {
            for other in &tables[i + 1..] {
                if !(one.complete && other.complete) {
                    continue;
                }
                let (Some(a), Some(b)) = (one.keys(), other.keys()) else { continue };
                let common: BTreeSet<&String> = a.intersection(&b).copied().collect();
                let fixed = || one.fixed.iter().chain(&other.fixed);
                if common.len() == a.len()
                    || common.len() == b.len()
                    || fixed().any(|(key, _)| !common.contains(key))
                {
                    continue;
                }
                for (measure, place) in one.cells.keys() {
                    let shared: Place = place
                        .iter()
                        .filter(|(key, _)| common.contains(key))
                        .map(|(k, v)| (k.clone(), v.clone()))
                        .collect();
                    if within(&shared, &other.fixed) && other.cells.keys().any(|(other, _)| other == measure)
                    {
                        self.number(measure, &shared);
                    }
                }
                if self.variables.len() > most {
                    return None;
                }
            }
        }
        Some(())
    }

    /// What a table's cells sum up to, for every wider cell of the family.
    fn sums(&mut self, table: &Table) {
        let Some(keys) = table.keys().map(|keys| keys.into_iter().cloned().collect::<BTreeSet<String>>())
        else {
            return;
        };
        // By the keys of the wider cells, so that each of the table's cells is looked at once for each.
        let mut wider: BTreeSet<(Measure, BTreeSet<String>)> = BTreeSet::new();
        for variable in &self.variables {
            let own: BTreeSet<String> = variable.place.keys().cloned().collect();
            if own.is_subset(&keys) && own != keys {
                wider.insert((variable.measure.clone(), own));
            }
        }
        for (measure, own) in wider {
            let mut parts: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
            for (counted, place) in table.cells.keys().filter(|(counted, _)| *counted == measure) {
                let shared: Place = place
                    .iter()
                    .filter(|(key, _)| own.contains(*key))
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                let number = self.numbers[&(counted.clone(), place.clone())];
                parts.entry(shared).or_default().push(number);
            }
            for (place, parts) in parts {
                let Some(whole) = self.numbers.get(&(measure.clone(), place.clone())).copied() else {
                    continue;
                };
                // A table that is confined to a value the wider cell is not confined to has only some of its parts.
                let all = table.complete && within(&place, &table.fixed);
                if matches!(measure, Measure::Rows(_)) || table.disjoint {
                    let relation = if all { Relation::Equal } else { Relation::AtMost };
                    self.constraints.insert(Constraint { parts, relation, whole });
                    continue;
                }
                for part in &parts {
                    let parts = vec![*part];
                    self.constraints.insert(Constraint { parts, relation: Relation::AtMost, whole });
                }
                if all {
                    self.constraints.insert(Constraint { parts, relation: Relation::AtLeast, whole });
                }
            }
        }
    }

    /// How the measures of one cell stand to each other.
    fn measures(&mut self) {
        let mut found = Vec::new();
        for ((measure, place), number) in &self.numbers {
            let at = |measure: Measure| self.numbers.get(&(measure, place.clone())).copied();
            let wider = match measure {
                Measure::Rows(None) => vec![],
                Measure::Rows(Some(_)) => vec![at(Measure::Rows(None))],
                Measure::Pupils(None) => vec![at(Measure::Rows(None))],
                Measure::Pupils(argument) => {
                    vec![at(Measure::Pupils(None)), at(Measure::Rows(argument.clone()))]
                }
            };
            for whole in wider.into_iter().flatten() {
                found.push(Constraint { parts: vec![*number], relation: Relation::AtMost, whole });
            }
        }
        self.constraints.extend(found);
    }
}

impl Table {
    /// The keys of its cells; `None` where it has none.
    fn keys(&self) -> Option<BTreeSet<&String>> {
        self.cells.keys().next().map(|(_, place)| place.keys().collect())
    }
}

/// Whether a cell lies in the part that a condition leaves.
fn within(place: &Place, fixed: &Place) -> bool {
    fixed.iter().all(|(key, value)| place.get(key) == Some(value))
}
