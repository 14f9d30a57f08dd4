//! What a memorandum lets SQL see: its items as tables, and the functions of the vocabulary. A column or table
//! that it does not list does not exist here, so that nothing about it can be inferred.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, Result, TableReference, not_impl_err};
use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::logical_plan::builder::LogicalTableSource;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
use datafusion::sql::sqlparser::ast::ObjectName;
use memoranda::{Contract, Kind, Memorandum, Role, Table};

use crate::function;

pub(crate) struct Catalog<'a> {
    tables: Vec<Visible<'a>>,
    options: ConfigOptions,
    /// Id of the memorandum, and name of the data set.
    place: (String, String),
}

/// A table with the columns that may be used, in contract order; the unit column is implied.
pub(crate) struct Visible<'a> {
    pub(crate) table: &'a Table,
    pub(crate) columns: Vec<&'a memoranda::Column>,
    source: Arc<dyn TableSource>,
}

static PLANNERS: LazyLock<Vec<Arc<dyn ExprPlanner>>> =
    LazyLock::new(SessionStateDefaults::default_expr_planners);

impl<'a> Catalog<'a> {
    pub(crate) fn new(contract: &'a Contract, memorandum: &Memorandum) -> Catalog<'a> {
        let visible = |table: &'a Table| {
            let listed = memorandum.items.iter().any(|items| items.table == table.name);
            let may_use = |column: &&memoranda::Column| match column.role {
                Role::Unit => true,
                Role::Identifier => false,
                Role::Attribute => memorandum.permits(&table.name, &column.name),
            };
            let columns: Vec<_> = table.columns.iter().filter(may_use).collect();
            let fields: Vec<_> = columns.iter().map(|column| sql_field(column)).collect();
            let source = Arc::new(LogicalTableSource::new(Arc::new(Schema::new(fields))));
            listed.then_some(Visible { table, columns, source })
        };
        let mut options = ConfigOptions::default();
        options.sql_parser.map_string_types_to_utf8view = false;
        let place = (memorandum.id.clone(), contract.name.clone());
        Catalog { tables: contract.tables.iter().filter_map(visible).collect(), options, place }
    }

    /// Where the tables are, as tools call it: the memorandum is the catalogue, its data set the schema.
    pub(crate) fn place(&self) -> (&str, &str) {
        (&self.place.0, &self.place.1)
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Visible<'a>> {
        self.tables.iter().find(|visible| visible.table.name == name)
    }

    /// Whether the name, as SQL folds it, is a table of the memorandum without any qualifier.
    pub(crate) fn knows(&self, name: &ObjectName) -> bool {
        let [part] = name.0.as_slice() else { return false };
        let Some(ident) = part.as_ident() else { return false };
        let folded =
            if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() };
        self.table(&folded).is_some()
    }

    pub(crate) fn table_names(&self) -> Vec<&str> {
        self.tables.iter().map(|visible| visible.table.name.as_str()).collect()
    }

    pub(crate) fn column_names(&self) -> Vec<String> {
        let of = |visible: &Visible<'_>| -> Vec<String> {
            visible.columns.iter().map(|column| format!("{}.{}", visible.table.name, column.name)).collect()
        };
        self.tables.iter().flat_map(of).collect()
    }
}

/// A column as SQL sees it. The pupil's column is text here, so that every misuse of it can be planned and then
/// refused by name; it is never evaluated.
fn sql_field(column: &memoranda::Column) -> Field {
    let kind = if column.role == Role::Unit { DataType::Utf8 } else { data_type(column.kind) };
    Field::new(&column.name, kind, !column.required)
}

/// The Arrow type that values of a kind are stored in.
pub fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Boolean => DataType::Boolean,
        Kind::Integer => DataType::Int64,
        Kind::Number => DataType::Float64,
        Kind::Text => DataType::Utf8,
        Kind::Date => DataType::Date32,
        Kind::DateTime => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

impl ContextProvider for Catalog<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        match self.table(name.table()) {
            Some(visible) if name.schema().is_none() => Ok(Arc::clone(&visible.source)),
            _ => Err(DataFusionError::Plan("table is not among the items".to_owned())),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &PLANNERS
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        function::scalar_udf(name)
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        function::aggregate_udf(name)
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        function::planned_window(name)
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn create_cte_work_table(
        &self,
        _name: &str,
        _schema: datafusion::arrow::datatypes::SchemaRef,
    ) -> Result<Arc<dyn TableSource>> {
        not_impl_err!("recursive queries")
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
