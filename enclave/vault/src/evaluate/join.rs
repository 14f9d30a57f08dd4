//! [`JoinByPupil`]: a join of rows that both come in the order of pupils. It goes through both sides together, a
//! pupil at a time: nothing is sorted, no table of pupils is built, and the order stays.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinSide, JoinType, NullEquality, Result, internal_err, project_schema};
use datafusion::config::ConfigOptions;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::equivalence::{ProjectionMapping, join_equivalence_properties};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::joins::utils::{JoinFilter, build_join_schema};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use queries::emit::UNIT;

use super::meet::{Meeting, Terms};
use super::words::Words;

type On = Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>;

/// Joins by the pupil and by what else the rows of a pupil have to agree in.
#[derive(Debug)]
pub(super) struct JoinByPupil {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    /// The pupil's column on either side first.
    on: On,
    filter: Option<JoinFilter>,
    kind: JoinType,
    /// Of the columns of both sides, those that come out.
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

/// Puts [`JoinByPupil`] in the place of hash joins whose sides are both in the order of pupils.
#[derive(Debug)]
pub(super) struct JoinsByPupil;

impl PhysicalOptimizerRule for JoinsByPupil {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let by_pupil = |plan: Arc<dyn ExecutionPlan>| match plan.downcast_ref::<HashJoinExec>() {
            Some(join) => Ok(match JoinByPupil::in_place_of(join)? {
                Some(join) => Transformed::yes(Arc::new(join) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(plan),
            }),
            None => Ok(Transformed::no(plan)),
        };
        Ok(plan.transform_up(by_pupil)?.data)
    }

    fn name(&self) -> &str {
        "JoinsByPupil"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl JoinByPupil {
    fn in_place_of(join: &HashJoinExec) -> Result<Option<JoinByPupil>> {
        use JoinType::{Inner, Left, LeftAnti, LeftSemi, Right, RightAnti, RightSemi};
        let kind = join.join_type;
        let plain = matches!(kind, Inner | Left | Right | LeftSemi | LeftAnti | RightSemi | RightAnti);
        if !plain
            || join.null_equality != NullEquality::NullEqualsNothing
            || join.null_aware
            || join.fetch().is_some()
        {
            return Ok(None);
        }
        let mut on: On = Vec::new();
        for (left, right) in &join.on {
            let in_order = in_order(join.left(), left)? && in_order(join.right(), right)?;
            let type_of =
                |side: &Arc<dyn ExecutionPlan>, expr: &Arc<dyn PhysicalExpr>| expr.data_type(&side.schema());
            let (of_left, of_right) = (type_of(join.left(), left)?, type_of(join.right(), right)?);
            let pair = (Arc::clone(left), Arc::clone(right));
            match () {
                // The pupil may be named twice.
                () if in_order && on.first().is_some_and(|first| *first == pair) => {}
                () if in_order => on.insert(0, pair),
                () if of_left == of_right && Words::has(&of_left) => on.push(pair),
                () => return Ok(None),
            }
        }
        let by_pupil = match on.first() {
            Some((left, right)) => in_order(join.left(), left)? && in_order(join.right(), right)?,
            None => false,
        };
        if !by_pupil || on.iter().skip(1).any(|(left, _)| is_pupil(left)) {
            return Ok(None);
        }
        let projection = join.projection.as_ref().map(|projection| projection.to_vec());
        let (left, right) = (Arc::clone(join.left()), Arc::clone(join.right()));
        JoinByPupil::new(left, right, on, join.filter.clone(), kind, projection).map(Some)
    }

    fn new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        on: On,
        filter: Option<JoinFilter>,
        kind: JoinType,
        projection: Option<Vec<usize>>,
    ) -> Result<JoinByPupil> {
        let schema = Arc::new(build_join_schema(&left.schema(), &right.schema(), &kind).0);
        let outer = outer(kind);
        let mut equivalence = join_equivalence_properties(
            left.equivalence_properties().clone(),
            right.equivalence_properties().clone(),
            &kind,
            Arc::clone(&schema),
            &keeps(kind),
            outer,
            &on,
        )?;
        if outer.is_none() {
            // Of an inner join's rows nothing but the order of pupils is certain.
            let unit = on.first().and_then(|(unit, _)| unit.downcast_ref::<Column>());
            equivalence.add_orderings(unit.map(|unit| [ascending(&(Arc::new(unit.clone()) as _))]));
        }
        if let Some(projection) = &projection {
            let mapping = ProjectionMapping::from_indices(projection, &schema)?;
            equivalence = equivalence.project(&mapping, project_schema(&schema, Some(projection))?);
        }
        let properties = PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(JoinByPupil { left, right, on, filter, kind, projection, properties: Arc::new(properties) })
    }

    fn terms(&self) -> Terms {
        let (_, columns) = build_join_schema(&self.left.schema(), &self.right.schema(), &self.kind);
        let columns = match &self.projection {
            Some(projection) => projection.iter().map(|&column| columns[column].clone()).collect(),
            None => columns,
        };
        Terms {
            outer: outer(self.kind),
            kind: self.kind,
            on: self.on.clone(),
            filter: self.filter.clone(),
            columns,
            schema: self.schema(),
        }
    }
}

/// The side whose order stays: whose rows come out also where they meet none, if any do.
fn outer(kind: JoinType) -> Option<JoinSide> {
    use JoinType::{Inner, Left, LeftAnti, LeftSemi};
    match kind {
        Inner => None,
        Left | LeftSemi | LeftAnti => Some(JoinSide::Left),
        _ => Some(JoinSide::Right),
    }
}

fn keeps(kind: JoinType) -> [bool; 2] {
    [JoinSide::Left, JoinSide::Right].map(|side| outer(kind) == Some(side))
}

fn is_pupil(expr: &Arc<dyn PhysicalExpr>) -> bool {
    expr.downcast_ref::<Column>().is_some_and(|column| column.name() == UNIT)
}

/// Whether it is the pupil, never missing, and the rows of the one partition come in this order.
fn in_order(side: &Arc<dyn ExecutionPlan>, expr: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    let schema = side.schema();
    Ok(expr.data_type(&schema)? == DataType::FixedSizeBinary(16)
        && !expr.nullable(&schema)?
        && side.output_partitioning().partition_count() == 1
        && side.equivalence_properties().ordering_satisfy([ascending(expr)])?)
}

fn ascending(expr: &Arc<dyn PhysicalExpr>) -> PhysicalSortExpr {
    PhysicalSortExpr::new(Arc::clone(expr), SortOptions::new(false, false))
}

impl DisplayAs for JoinByPupil {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on: Vec<String> = self.on.iter().map(|(left, right)| format!("({left}, {right})")).collect();
        write!(f, "JoinByPupil: kind={:?}, on=[{}]", self.kind, on.join(", "))?;
        self.filter.as_ref().map_or(Ok(()), |filter| write!(f, ", filter={}", filter.expression()))
    }
}

impl ExecutionPlan for JoinByPupil {
    fn name(&self) -> &str {
        "JoinByPupil"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let by = |expr: Option<&Arc<dyn PhysicalExpr>>| {
            LexOrdering::new(expr.map(ascending)).map(OrderingRequirements::from)
        };
        vec![by(self.on.first().map(|on| &on.0)), by(self.on.first().map(|on| &on.1))]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        keeps(self.kind).to_vec()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let on = self.on.iter().flat_map(|(left, right)| [left, right]);
        for expr in on.chain(self.filter.as_ref().map(JoinFilter::expression)) {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([left, right]) = <[_; 2]>::try_from(children) else {
            return internal_err!("a join has two sides");
        };
        let (on, filter, projection) = (self.on.clone(), self.filter.clone(), self.projection.clone());
        Ok(Arc::new(JoinByPupil::new(left, right, on, filter, self.kind, projection)?))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("join").register(context.memory_pool());
        let left = self.left.execute(partition, Arc::clone(&context))?;
        let right = self.right.execute(partition, context)?;
        let meeting = Meeting::new(self.terms(), left, right, memory)?;
        let batches = futures::stream::try_unfold(meeting, |mut meeting| async move {
            Ok(meeting.next().await?.map(|batch: RecordBatch| (batch, meeting)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
