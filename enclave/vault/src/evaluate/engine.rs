//! [`Engine`]: DataFusion, set up so that pupils stay in order, nothing is spilled to disk, and memory is
//! bounded.

use std::sync::Arc;

use arrow::compute::SortOptions;
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::{SessionConfig, SessionContext};
use disclosure_rules::rules::Limits;
use queries::emit::UNIT;

use crate::storage::Storage;

pub(super) struct Engine {
    context: SessionContext,
}

impl Engine {
    pub(super) fn new(limits: &Limits, storage: &Storage) -> Result<Engine> {
        let mut config = SessionConfig::new().with_target_partitions(1);
        let options = config.options_mut();
        // Pupils are whole within a part and in order: nothing may deal rows out anew or swap a join's sides.
        options.optimizer.repartition_aggregations = false;
        options.optimizer.repartition_joins = false;
        options.optimizer.repartition_file_scans = false;
        options.optimizer.repartition_windows = false;
        options.optimizer.repartition_sorts = false;
        options.optimizer.enable_round_robin_repartition = false;
        options.optimizer.join_reordering = false;
        options.execution.parquet.pushdown_filters = false;
        let memory = usize::try_from(limits.memory_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        runtime.register_object_store(Storage::url().as_ref(), storage.object_store());
        Ok(Engine { context: SessionContext::new_with_config_rt(config, runtime) })
    }

    pub(super) fn task(&self) -> Arc<TaskContext> {
        self.context.task_ctx()
    }

    /// What is held beside DataFusion's operators counts against the same memory.
    pub(super) fn memory(&self, of: &str) -> MemoryReservation {
        MemoryConsumer::new(of).register(&self.context.runtime_env().memory_pool)
    }

    pub(super) async fn plan(&self, logical: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        self.context.state().create_physical_plan(logical).await
    }

    /// A physical plan of one partition, with its pupils in order. Sorts in memory where a join has lost the
    /// order; refuses to run where rows could have been dealt out anew.
    pub(super) async fn plan_by_pupil(&self, logical: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        let physical = self.plan(logical).await?;
        if deals_out(&physical) {
            return internal_err!("a plan over pupils was repartitioned");
        }
        let by_pupil = PhysicalSortExpr::new(col(UNIT, &physical.schema())?, SortOptions::new(false, false));
        let in_order = physical.equivalence_properties().ordering_satisfy([by_pupil.clone()])?;
        let ordering =
            LexOrdering::new([by_pupil]).ok_or_else(|| DataFusionError::Internal("no order".to_owned()))?;
        let sorted: Arc<dyn ExecutionPlan> = if in_order {
            physical
        } else {
            Arc::new(SortExec::new(ordering.clone(), physical).with_preserve_partitioning(true))
        };
        // The sides of a union hold the same pupils.
        if sorted.output_partitioning().partition_count() == 1 {
            Ok(sorted)
        } else {
            Ok(Arc::new(SortPreservingMergeExec::new(ordering, sorted)))
        }
    }
}

fn deals_out(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<RepartitionExec>().is_some() || plan.children().into_iter().any(deals_out)
}
