//! [`StoredTable`]: a table of a snapshot as DataFusion reads it. One partition per part; rows of a private table
//! come in the order of their pupil, and it says so.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::parquet_encryption::EncryptionFactory;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use queries::emit::UNIT;

use crate::parquet_key;
use crate::snapshot::{Part, Snapshot};

/// One table of one snapshot.
#[derive(Debug)]
pub(crate) struct StoredTable {
    schema: SchemaRef,
    parts: Vec<Part>,
    private: bool,
    keys: Arc<dyn EncryptionFactory>,
}

impl StoredTable {
    /// The table of that name, if it has been ingested.
    pub(crate) fn find(snapshot: &Snapshot, name: &str) -> Option<StoredTable> {
        let table = snapshot.table(name)?;
        Some(StoredTable {
            schema: Arc::clone(&table.schema),
            parts: table.parts.clone(),
            private: table.private,
            keys: parquet_key::encryption_factory(snapshot),
        })
    }
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
        let group = |part: &Part| {
            let path = part
                .store_path()
                .ok_or_else(|| DataFusionError::Internal("a part has no path".to_owned()))?;
            Ok(FileGroup::new(vec![PartitionedFile::new(path.to_string(), part.size)]))
        };
        let groups = self.parts.iter().map(group).collect::<Result<Vec<_>>>()?;
        let by_pupil = || -> Result<Option<LexOrdering>> {
            let sort = PhysicalSortExpr::new(col(UNIT, &self.schema)?, SortOptions::new(false, false));
            Ok(LexOrdering::new([sort]))
        };
        let ordering = if self.private { by_pupil()?.into_iter().collect() } else { vec![] };
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(source))
            .with_file_groups(groups)
            .with_output_ordering(ordering)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
