//! [`Until`]: the condition of a join, which fails once time is over. A join may try many pairs of rows for each that it
//! lets through, and looks at nothing else meanwhile.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::joins::utils::JoinFilter;

/// A condition and when there is no more time for it.
#[derive(Debug)]
pub(super) struct Until {
    condition: Arc<dyn PhysicalExpr>,
    end: Instant,
}

/// The same filter, until `end`.
pub(super) fn until(filter: &JoinFilter, end: Instant) -> JoinFilter {
    let condition = Arc::clone(filter.expression());
    let (indices, schema) = (filter.column_indices().to_vec(), Arc::clone(filter.schema()));
    JoinFilter::new(Arc::new(Until { condition, end }), indices, schema)
}

impl PartialEq for Until {
    fn eq(&self, other: &Until) -> bool {
        self.condition.eq(&other.condition) && self.end == other.end
    }
}

impl Eq for Until {}

impl Hash for Until {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
        self.end.hash(state);
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for Until {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.condition.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.condition.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if Instant::now() > self.end {
            return Err(DataFusionError::ResourcesExhausted("time is over".to_owned()));
        }
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let Ok([condition]) = <[_; 1]>::try_from(children) else {
            return internal_err!("one condition");
        };
        Ok(Arc::new(Until { condition, end: self.end }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use arrow::datatypes::Field;
    use datafusion::physical_expr::expressions::lit;

    use super::*;

    #[test]
    fn a_condition_is_looked_at_until_time_is_over() {
        let schema = Arc::new(Schema::new(Vec::<Field>::new()));
        let batch = RecordBatch::new_empty(Arc::clone(&schema));
        let filter = JoinFilter::new(lit(true), vec![], schema);
        let now = Instant::now();
        let looked = |end| until(&filter, end).expression().evaluate(&batch);
        assert!(looked(now + Duration::from_secs(3600)).is_ok());
        assert!(matches!(looked(now - Duration::from_nanos(1)), Err(DataFusionError::ResourcesExhausted(_))));
    }
}
