//! Where group keys come from: the contract and public tables, so that all of them appear, or the pupils' rows.

use disclosure_rules::Value;
use memoranda::Contract;

use crate::bounds;
use crate::lower::Block;
use crate::plan::KeySource;
use crate::refusal::{Refusal, Rule};
use crate::tree::{Expr, Field, JoinKind, Rel, Scan};

/// The relation whose rows are the keys, or that they are unknown.
pub(crate) fn key_source(block: &Block, contract: &Contract, max_groups: u64) -> Result<KeySource, Refusal> {
    if block.keys.is_empty() {
        return Ok(KeySource::Single);
    }
    let fields = block.source.fields_under(contract);
    let derived = Rel::Project { input: Box::new(block.source.clone()), columns: block.keys.clone() }
        .fields_under(contract);
    let mut domain = Domain { rel: None, width: 0, place: vec![None; fields.len()], listed: 1 };
    let mut keys = Vec::new();
    for (key, derived) in block.keys.iter().zip(&derived) {
        if key.columns().into_iter().all(|index| domain.admit(index, &fields, &block.source)) {
            keys.push(None);
        } else if derived.values.is_some() {
            // Of an expression, the values that it can have.
            keys.push(Some(domain.listed_values(derived)));
        } else {
            return Ok(KeySource::Unknown);
        }
    }
    if domain.listed > max_groups {
        return Err(Refusal::new(Rule::Limit, format!("the keys have more than {max_groups} combinations")));
    }
    let place = domain.place;
    let Some(mut rel) = domain.rel else { return Ok(KeySource::Unknown) };
    // Conditions that read nothing but the domain's columns narrow it.
    for condition in bounds::conditions(&block.source) {
        let columns = condition.columns();
        if !columns.is_empty() && columns.iter().all(|index| place[*index].is_some()) {
            let predicate = condition.renumber(&|index| place[index].unwrap_or(0));
            if !predicate.is_noisy() {
                rel = Rel::Filter { input: Box::new(rel), predicate };
            }
        }
    }
    let keys = block.keys.iter().zip(keys).map(|(key, own)| match own {
        Some(index) => Expr::Column(index, key.kind().unwrap_or(memoranda::Kind::Text)),
        None => key.renumber(&|index| place[index].unwrap_or(0)),
    });
    Ok(KeySource::Public { domain: rel, keys: keys.collect() })
}

/// A relation over public tables and listed values that grows by one factor after the other.
struct Domain {
    rel: Option<Rel>,
    width: usize,
    /// Number of a source column → number of the domain's column.
    place: Vec<Option<usize>>,
    /// Combinations of listed values.
    listed: u64,
}

impl Domain {
    /// Makes a source column one of the domain's, if its values are public.
    fn admit(&mut self, index: usize, fields: &[Field], source: &Rel) -> bool {
        if self.place[index].is_some() {
            return true;
        }
        let field = &fields[index];
        if let Some(scan) = public_scan(source, field) {
            // All columns of one reading of a public table belong together.
            let of_scan = |other: &Field| other.scan == field.scan && other.table == field.table;
            let own: Vec<(usize, usize)> = fields
                .iter()
                .enumerate()
                .filter(|(_, other)| of_scan(other))
                .filter_map(|(i, other)| {
                    Some((i, scan.columns.iter().position(|column| column.column == other.column)?))
                })
                .collect();
            let missing_row =
                own.iter().any(|(i, column)| fields[*i].nullable && !scan.columns[*column].nullable);
            own.iter().for_each(|(i, column)| self.place[*i] = Some(self.width + column));
            self.join(Rel::Scan(Scan { missing_row, ..scan.clone() }), scan.columns.len());
            return true;
        }
        if field.values.is_some() {
            self.place[index] = Some(self.listed_values(field));
            return true;
        }
        if let Some((table, column)) = &field.references {
            let column = Field { table: table.clone(), column: column.clone(), ..field.clone() };
            let missing_row = field.nullable;
            self.place[index] = Some(self.width);
            self.join(
                Rel::Scan(Scan { table: table.clone(), public: true, columns: vec![column], missing_row }),
                1,
            );
            return true;
        }
        false
    }

    /// The number of a new column of listed values.
    fn listed_values(&mut self, field: &Field) -> usize {
        let mut values = field.values.clone().unwrap_or_default();
        if field.nullable && !values.contains(&Value::Null) {
            values.push(Value::Null);
        }
        self.listed = self.listed.saturating_mul(values.len() as u64);
        let column = Field { column: format!("v{}", self.width), ..field.clone() };
        let place = self.width;
        self.join(Rel::Values(Box::new(column), values), 1);
        place
    }

    fn join(&mut self, factor: Rel, width: usize) {
        self.width += width;
        self.rel = Some(match self.rel.take() {
            None => factor,
            Some(left) => {
                Rel::Join { left: Box::new(left), right: Box::new(factor), kind: JoinKind::Inner, on: None }
            }
        });
    }
}

/// The reading of a public table that a column comes from.
fn public_scan<'a>(source: &'a Rel, field: &Field) -> Option<&'a Scan> {
    source.scans().into_iter().find(|scan| {
        let own = |column: &Field| column.scan == field.scan && column.column == field.column;
        scan.public && scan.table == field.table && scan.columns.iter().any(own)
    })
}
