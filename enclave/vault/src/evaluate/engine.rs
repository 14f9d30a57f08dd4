//! [`Engine`]: DataFusion, set up so that pupils stay in order, nothing is spilled to disk, and memory is
//! bounded.

use std::sync::Arc;
use std::time::Instant;

use arrow::compute::SortOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, Result, internal_err};
use datafusion::execution::TaskContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_expr::expressions::col;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::ensure_requirements::EnsureRequirements;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::partial_sort::PartialSortExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::{SessionConfig, SessionContext};
use queries::emit::UNIT;

use super::Allowed;
use super::join::JoinsByPupil;
use super::until::until;
use crate::storage::Storage;

pub(super) struct Engine {
    context: SessionContext,
    /// When there is no more time.
    end: Instant,
}

impl Engine {
    pub(super) fn new(allowed: Allowed<'_>, storage: &Storage) -> Result<Engine> {
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
        let memory = usize::try_from(allowed.limits.memory_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()?;
        runtime.register_object_store(Storage::url().as_ref(), storage.object_store());
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rules(logical_rules())
            .with_physical_optimizer_rules(physical_rules()?)
            .build();
        Ok(Engine { context: SessionContext::new_with_state(state), end: allowed.end })
    }

    pub(super) fn task(&self) -> Arc<TaskContext> {
        self.context.task_ctx()
    }

    /// What is held beside DataFusion's operators counts against the same memory.
    pub(super) fn memory(&self, of: &str) -> MemoryReservation {
        MemoryConsumer::new(of).register(&self.context.runtime_env().memory_pool)
    }

    pub(super) async fn plan(&self, logical: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        stoppable(self.context.state().create_physical_plan(logical).await?, self.end)
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
        let physical = sorted_inside(physical)?;
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

/// DataFusion's rules, without the one that may join in another order than was written: pupils would be lost sight of.
fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules = Optimizer::new().rules;
    rules.retain(|rule| rule.name() != EliminateCrossJoin::new().name());
    rules
}

/// DataFusion's rules; before orders are seen to, joins of what is in the order of pupils become joins by pupil.
fn physical_rules() -> Result<Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>> {
    let mut rules = PhysicalOptimizer::new().rules;
    let Some(place) = rules.iter().position(|rule| rule.name() == EnsureRequirements::new().name()) else {
        return internal_err!("the rule that sees to orders is missing");
    };
    rules.insert(place, Arc::new(JoinsByPupil));
    Ok(rules)
}

/// What is in the order of pupils is sorted pupil by pupil, and not as a whole.
fn sorted_inside(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let inside = |plan: Arc<dyn ExecutionPlan>| {
        let Some(sort) = plan.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none()) else {
            return Ok(Transformed::no(plan));
        };
        let (expr, input) = (sort.expr(), sort.input());
        let one = input.output_partitioning().partition_count() == 1;
        if !one || !input.equivalence_properties().ordering_satisfy([expr.first().clone()])? {
            return Ok(Transformed::no(plan));
        }
        let inside = PartialSortExec::new(expr.clone(), Arc::clone(input), 1);
        Ok(Transformed::yes(Arc::new(inside) as Arc<dyn ExecutionPlan>))
    };
    Ok(plan.transform_up(inside)?.data)
}

/// Joins make many pairs of few rows. Each batch that comes out of one is a place to stop at, and so is each look at the
/// condition of those that may go on for long until something comes out.
fn stoppable(plan: Arc<dyn ExecutionPlan>, end: Instant) -> Result<Arc<dyn ExecutionPlan>> {
    let at_joins = |plan: Arc<dyn ExecutionPlan>| {
        if plan.children().len() < 2 {
            return Ok(Transformed::no(plan));
        }
        let join: Arc<dyn ExecutionPlan> = if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
            let filter = join.filter().map(|filter| until(filter, end));
            join.builder().with_filter(filter).build_exec()?
        } else if let Some(join) = plan.downcast_ref::<NestedLoopJoinExec>() {
            let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
            let filter = join.filter().map(|filter| until(filter, end));
            let projection = join.projection().as_ref().map(|projection| projection.to_vec());
            Arc::new(NestedLoopJoinExec::try_new(left, right, filter, join.join_type(), projection)?)
        } else {
            plan
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as Arc<dyn ExecutionPlan>))
    };
    Ok(plan.transform_up(at_joins)?.data)
}

fn deals_out(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.downcast_ref::<RepartitionExec>().is_some() || plan.children().into_iter().any(deals_out)
}
