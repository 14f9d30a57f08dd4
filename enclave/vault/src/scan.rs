//! [`StoredTables`]: the tables of a snapshot as DataFusion reads them, one part of the pupils at a time. A
//! pupil is in the part of the same number in every private table, so that what is asked of one pupil stays
//! in one part. Rows of a private table come in the order of their pupil, and it says so.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::parquet_encryption::EncryptionFactory;
use datafusion::logical_expr::{Expr, TableSource, TableType};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use queries::emit::UNIT;

use crate::parquet_key;
use crate::snapshot::{Part, Snapshot};
use crate::storage::Storage;

/// The tables of one snapshot.
pub(crate) struct StoredTables {
    snapshot: Snapshot,
    keys: Arc<dyn EncryptionFactory>,
}

impl StoredTables {
    pub(crate) fn of(snapshot: &Snapshot) -> StoredTables {
        StoredTables { snapshot: snapshot.clone(), keys: parquet_key::encryption_factory(snapshot) }
    }

    /// A public table whole. A private one is not there.
    pub(crate) fn public(&self, name: &str) -> Result<Arc<dyn TableSource>> {
        self.find(name, None)
    }

    /// A public table whole, or one part of a private one.
    pub(crate) fn part(&self, name: &str, part: u32) -> Result<Arc<dyn TableSource>> {
        self.find(name, Some(part))
    }

    fn find(&self, name: &str, part: Option<u32>) -> Result<Arc<dyn TableSource>> {
        let Some(table) = self.snapshot.table(name) else {
            return plan_err!("table is not in the snapshot");
        };
        let parts = match (table.private, part) {
            (false, _) => table.parts.clone(),
            (true, None) => return plan_err!("table is not public"),
            (true, Some(part)) => {
                // Parts that are cut differently would put a pupil's rows into different ones.
                if table.parts.len() != self.snapshot.partitions as usize {
                    return internal_err!("a table has another number of parts than its snapshot");
                }
                table.parts.get(part as usize).cloned().into_iter().collect()
            }
        };
        if parts.is_empty() {
            return internal_err!("a table has no such part");
        }
        Ok(provider_as_source(Arc::new(StoredTable {
            schema: as_read(&table.schema),
            parts,
            private: table.private,
            keys: Arc::clone(&self.keys),
        })))
    }
}

/// Texts are read as views into what was read from the file: nothing is copied that is not looked at.
fn as_read(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View)),
        _ => Arc::clone(field),
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// Some parts of one table, read one after the other.
#[derive(Debug)]
struct StoredTable {
    schema: SchemaRef,
    parts: Vec<Part>,
    private: bool,
    keys: Arc<dyn EncryptionFactory>,
}

#[async_trait::async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source =
            ParquetSource::new(Arc::clone(&self.schema)).with_encryption_factory(Arc::clone(&self.keys));
        let file = |part: &Part| PartitionedFile::new(part.path.clone(), part.size);
        let files = self.parts.iter().map(file).collect();
        let by_pupil = || -> Result<Option<LexOrdering>> {
            let sort = PhysicalSortExpr::new(col(UNIT, &self.schema)?, SortOptions::new(false, false));
            Ok(LexOrdering::new([sort]))
        };
        let ordering = if self.private { by_pupil()?.into_iter().collect() } else { vec![] };
        let config = FileScanConfigBuilder::new(Storage::url(), Arc::new(source))
            .with_file_group(FileGroup::new(files))
            .with_output_ordering(ordering)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
