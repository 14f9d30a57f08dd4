//! Names that say where a table is, as tools write them: `data_set.table` and `"memorandum".data_set.table`. They are put
//! as the plain names that they mean. Any other qualifier stays, and is refused.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query, Statement, VisitMut, VisitorMut,
};

use crate::catalog::Catalog;

/// Takes qualifiers off that mean the memorandum's own data set. A table that has the name of a view of the question
/// keeps its own: without it, it would be the view.
pub(crate) fn put_plainly(statement: &mut Statement, catalog: &Catalog<'_>) {
    let mut views = Views::default();
    let _ = statement.visit(&mut views);
    let _ = statement.visit(&mut Plain { catalog, views: views.0 });
}

#[derive(Default)]
struct Views(BTreeSet<String>);

impl VisitorMut for Views {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let views = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.extend(views.map(|view| folded(&view.alias.name)));
        ControlFlow::Continue(())
    }
}

struct Plain<'a, 'c> {
    catalog: &'a Catalog<'c>,
    views: BTreeSet<String>,
}

impl Plain<'_, '_> {
    /// How many of these names come before the table's own, and say that it is here.
    fn qualifiers(&self, names: &[&Ident]) -> usize {
        let names: Vec<String> = names.iter().map(|name| folded(name)).collect();
        let (catalogue, schema) = self.catalog.place();
        match names.as_slice() {
            [first, table, ..] if first == schema && self.means(table) => 1,
            [first, second, table, ..] if first == catalogue && second == schema && self.means(table) => 2,
            _ => 0,
        }
    }

    fn means(&self, table: &str) -> bool {
        self.catalog.table(table).is_some() && !self.views.contains(table)
    }
}

impl VisitorMut for Plain<'_, '_> {
    type Break = ();

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        let names: Option<Vec<&Ident>> = name.0.iter().map(ObjectNamePart::as_ident).collect();
        let names = names.unwrap_or_default();
        let place = self.catalog.place();
        let said: Vec<String> = names.iter().map(|name| folded(name)).collect();
        let here = match said.as_slice() {
            [schema, table] => schema == place.1 && self.means(table),
            [catalogue, schema, table] => catalogue == place.0 && schema == place.1 && self.means(table),
            _ => false,
        };
        if here {
            name.0.drain(..said.len() - 1);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(names) = expr {
            let qualifiers = self.qualifiers(&names.iter().collect::<Vec<_>>());
            // A column's own name stays behind its table's.
            if names.len() > qualifiers + 1 {
                names.drain(..qualifiers);
            }
        }
        ControlFlow::Continue(())
    }
}

/// As SQL reads it.
fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_ascii_lowercase() }
}
