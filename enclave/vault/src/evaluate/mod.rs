//! [`Vault::evaluate`]: DataFusion reads, filters and joins; pupils are bounded and added up in one streaming pass
//! over each part, in the order of pupils; the totals come out sealed.

mod contribute;
mod engine;

use std::sync::Arc;
use std::time::Duration;

use datafusion::catalog::default_table_source::provider_as_source;
use datafusion::common::{DataFusionError, plan_err};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::TableSource;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use disclosure_rules::measure::GroupKeys;
use disclosure_rules::rules::Limits;
use disclosure_rules::{Exact, PlanDigest, Value};
use futures::{StreamExt, TryStreamExt};
use queries::PrivatePlan;
use queries::tree::Rel;

use crate::scan::StoredTable;
use crate::snapshot::Snapshot;
use crate::vault::Vault;
use contribute::{Contributions, Totals};
use engine::Engine;

/// Why a plan was not evaluated. None of these says anything about a row.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The snapshot lacks something that the plan reads: known before anything is charged.
    #[error("`{0}` holds no data yet")]
    NotIngested(String),
    /// The public keys are more than the rule set allows: known before anything is charged.
    #[error("the keys have more than {0} combinations")]
    TooManyKeys(u64),
    /// Time, memory or groups ran out, or the engine failed.
    #[error("the question could not be carried out within its limits")]
    Failed,
}

impl From<DataFusionError> for EvaluateError {
    fn from(_: DataFusionError) -> EvaluateError {
        // The engine's own words may quote a value.
        EvaluateError::Failed
    }
}

impl Vault {
    /// The keys of a plan's answer, from public tables and listed values alone; and whether the snapshot has what
    /// the plan reads.
    pub async fn keys(
        &self,
        plan: &PrivatePlan,
        snapshot: &Snapshot,
        limits: &Limits,
    ) -> Result<GroupKeys, EvaluateError> {
        check_ingested(plan.source(), snapshot)?;
        if plan.has_unknown_keys() {
            return Ok(GroupKeys::Unknown);
        }
        let Some(logical) = queries::emit::public_keys(plan, &|name| table_source(snapshot, name))? else {
            return Ok(GroupKeys::Public(vec![vec![]]));
        };
        let engine = Engine::new(limits)?;
        let physical = engine.plan(&logical).await?;
        let work = async {
            let mut keys = Vec::new();
            let mut batches = datafusion::physical_plan::execute_stream(physical, engine.task())?;
            while let Some(batch) = batches.try_next().await? {
                for row in 0..batch.num_rows() {
                    let key = batch.columns().iter().map(|column| contribute::key_value(column, row));
                    keys.push(key.collect::<Result<Vec<Value>, DataFusionError>>()?);
                }
                if keys.len() as u64 > plan.max_groups() {
                    return Err(EvaluateError::TooManyKeys(plan.max_groups()));
                }
            }
            Ok(GroupKeys::Public(keys))
        };
        within(limits, work).await
    }

    /// The exact totals of a plan, sealed under `digest`. Bounds each pupil's contribution as the plan says;
    /// which of an over-contributing pupil's rows and groups are kept is decided by a fresh secret.
    pub async fn evaluate(
        &self,
        plan: &PrivatePlan,
        digest: PlanDigest,
        snapshot: &Snapshot,
        limits: &Limits,
    ) -> Result<Exact, EvaluateError> {
        let logical = queries::emit::source(plan, &|name| table_source(snapshot, name))?;
        let engine = Engine::new(limits)?;
        let physical = engine.plan_by_pupil(&logical).await?;
        let secret = Arc::new(contribute::Secret::fresh().map_err(|_| EvaluateError::Failed)?);
        let work = async {
            let parts = physical.output_partitioning().partition_count();
            let tasks = futures::stream::iter((0..parts).map(|part| {
                let contributions = Contributions::new(plan, Arc::clone(&secret));
                tokio::spawn(add_up(Arc::clone(&physical), part, engine.task(), contributions))
            }));
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let mut totals = Totals::default();
            let mut done = tasks.buffer_unordered(cores);
            while let Some(part) = done.next().await {
                totals.merge(part.map_err(|_| EvaluateError::Failed)??);
                if totals.groups() as u64 > plan.max_groups() {
                    return Err(EvaluateError::Failed);
                }
            }
            Ok(Exact::seal(digest, totals.into_groups()))
        };
        within(limits, work).await
    }
}

async fn add_up(
    physical: Arc<dyn ExecutionPlan>,
    part: usize,
    task: Arc<TaskContext>,
    contributions: Result<Contributions, DataFusionError>,
) -> Result<Totals, EvaluateError> {
    let mut contributions = contributions?;
    let mut batches = physical.execute(part, task)?;
    while let Some(batch) = batches.try_next().await? {
        contributions.add(&batch)?;
    }
    Ok(contributions.finish()?)
}

async fn within<T>(
    limits: &Limits,
    work: impl Future<Output = Result<T, EvaluateError>>,
) -> Result<T, EvaluateError> {
    let most = Duration::from_secs(limits.timeout_seconds);
    tokio::time::timeout(most, work).await.unwrap_or(Err(EvaluateError::Failed))
}

fn table_source(snapshot: &Snapshot, name: &str) -> Result<Arc<dyn TableSource>, DataFusionError> {
    match StoredTable::find(snapshot, name) {
        Some(table) => Ok(provider_as_source(Arc::new(table))),
        None => plan_err!("table is not in the snapshot"),
    }
}

fn check_ingested(source: &Rel, snapshot: &Snapshot) -> Result<(), EvaluateError> {
    for scan in source.scans() {
        let missing = |what: &str| Err(EvaluateError::NotIngested(what.to_owned()));
        let Some(table) = snapshot.table(&scan.table) else { return missing(&scan.table) };
        let stored = |column: &str| table.schema.field_with_name(column).is_ok();
        if let Some(field) = scan.columns.iter().find(|field| !field.unit && !stored(&field.column)) {
            return missing(&format!("{}.{}", field.table, field.column));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
