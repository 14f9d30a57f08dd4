//! Joins along the pupil give what DataFusion's hash joins give, and keep the order.

use arrow::array::AsArray;
use arrow::compute::{SortOptions, concat_batches};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;
use datafusion::common::{JoinSide, JoinType, NullEquality};
use datafusion::config::ConfigOptions;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::joins::utils::{ColumnIndex, JoinFilter};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::{ExecutionPlan, collect};
use proptest::prelude::*;

use super::*;
use crate::evaluate::join::JoinsByPupil;

/// Of a row: its pupil, a number, a text that may be long, and a time.
type Row = (u8, Option<i64>, Option<&'static str>, i64);

const TEXTS: [&str; 3] = ["a", "b", "a text that is longer than a word"];

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("__unit", DataType::FixedSizeBinary(16), false),
        Field::new("number", DataType::Int64, true),
        Field::new("text", DataType::Utf8, true),
        Field::new("time", DataType::Int64, false),
    ]))
}

/// Rows in the order of their pupils, in batches of a size.
fn table(mut rows: Vec<Row>, size: usize, says_so: bool) -> Arc<dyn ExecutionPlan> {
    rows.sort_by_key(|row| row.0);
    let batch = |rows: &[Row]| {
        let units = FixedSizeBinaryArray::try_from_iter(rows.iter().map(|row| [row.0; 16])).unwrap();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(units),
            Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|row| row.2).collect::<StringArray>()),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.3))),
        ];
        RecordBatch::try_new(schema(), columns).unwrap()
    };
    let batches: Vec<_> = rows.chunks(size).map(batch).collect();
    let source = MemorySourceConfig::try_new(&[batches], schema(), None).unwrap();
    let unit = PhysicalSortExpr::new(Arc::new(Column::new("__unit", 0)), SortOptions::new(false, false));
    let order = if says_so { vec![LexOrdering::new([unit]).unwrap()] } else { vec![] };
    DataSourceExec::from_data_source(source.try_with_sort_information(order).unwrap())
}

fn column(name: &str) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(name, schema().index_of(name).unwrap()))
}

/// Times of the left side before those of the right.
fn earlier() -> JoinFilter {
    let (left, right) = (Arc::new(Column::new("left", 0)), Arc::new(Column::new("right", 1)));
    let fields = ["left", "right"].map(|name| Field::new(name, DataType::Int64, false));
    JoinFilter::new(
        Arc::new(BinaryExpr::new(left, Operator::Lt, right)),
        [JoinSide::Left, JoinSide::Right].map(|side| ColumnIndex { index: 3, side }).to_vec(),
        Arc::new(Schema::new(fields.to_vec())),
    )
}

fn hash_join(
    [left, right]: [Arc<dyn ExecutionPlan>; 2],
    kind: JoinType,
    on: &[&str],
    filtered: bool,
    projection: Option<Vec<usize>>,
) -> Arc<dyn ExecutionPlan> {
    let on = on.iter().map(|name| (column(name), column(name))).collect();
    let (mode, nulls) = (PartitionMode::CollectLeft, NullEquality::NullEqualsNothing);
    let filter = filtered.then(earlier);
    Arc::new(HashJoinExec::try_new(left, right, on, filter, &kind, projection, mode, nulls, false).unwrap())
}

fn by_pupil(plan: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    JoinsByPupil.optimize(Arc::clone(plan), &ConfigOptions::new()).unwrap()
}

fn run(plan: &Arc<dyn ExecutionPlan>) -> RecordBatch {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let batches = runtime.block_on(collect(Arc::clone(plan), Arc::new(TaskContext::default()))).unwrap();
    concat_batches(&plan.schema(), &batches).unwrap()
}

/// The rows as text, sorted.
fn shown(batch: &RecordBatch) -> Vec<String> {
    let text = pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn rows(most: usize) -> impl Strategy<Value = Vec<Row>> {
    let text = prop::option::of(prop::sample::select(TEXTS.to_vec()));
    prop::collection::vec((0..6_u8, prop::option::of(0..4_i64), text, 0..5_i64), 0..most)
}

const KINDS: [JoinType; 7] = [
    JoinType::Inner,
    JoinType::Left,
    JoinType::Right,
    JoinType::LeftSemi,
    JoinType::LeftAnti,
    JoinType::RightSemi,
    JoinType::RightAnti,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_join_by_pupil_gives_what_a_hash_join_gives(
        left in rows(60), right in rows(500), sizes in [1..40_usize, 1..200_usize], filtered in any::<bool>(),
        swap in any::<bool>(),
    ) {
        let sides = if swap { [right, left] } else { [left, right] };
        for kind in KINDS {
            for on in [&["__unit"][..], &["number", "__unit"], &["__unit", "text", "number"], &["__unit", "__unit"]] {
                let tables = [table(sides[0].clone(), sizes[0], true), table(sides[1].clone(), sizes[1], true)];
                let hashed = hash_join(tables, kind, on, filtered, None);
                let joined = by_pupil(&hashed);
                prop_assert_eq!(joined.name(), "JoinByPupil");
                prop_assert_eq!(joined.schema(), hashed.schema());
                let (joined, hashed) = (run(&joined), run(&hashed));
                prop_assert_eq!(shown(&joined), shown(&hashed), "{} on {:?}", kind, on);
                // The order of the side that comes out whole, or of either.
                let unit = if kind == JoinType::Right { 4 } else { 0 };
                let units = joined.column(unit).as_fixed_size_binary();
                prop_assert!(units.iter().is_sorted());
            }
        }
    }
}

#[test]
fn of_a_join_come_out_the_columns_that_are_wanted() {
    let rows: Vec<Row> = (0..100_u8).map(|i| (i / 9, Some(1), None, i64::from(i))).collect();
    let sides = || [table(rows.clone(), 7, true), table(rows.clone(), 64, true)];
    for projection in [vec![7, 0], vec![]] {
        let hashed = hash_join(sides(), JoinType::Inner, &["__unit"], false, Some(projection));
        let joined = by_pupil(&hashed);
        assert_eq!(joined.name(), "JoinByPupil");
        assert_eq!(shown(&run(&joined)), shown(&run(&hashed)));
        assert_eq!(run(&joined).num_rows(), 9 * 9 * 11 + 1);
    }
}

/// A pupil with very many rows comes out piece by piece, all the same.
#[test]
fn a_pupil_with_many_rows_is_joined_in_pieces() {
    let rows = |count: i64| (0..count).map(|i| (3, Some(i % 500), None, i)).collect::<Vec<Row>>();
    let tables = || [table(rows(3000), 900, true), table(rows(20_000), 8192, true)];
    let joined = by_pupil(&hash_join(tables(), JoinType::Inner, &["__unit", "number"], false, None));
    assert_eq!(run(&joined).num_rows(), 3000 / 500 * 20_000);
}

#[test]
fn what_is_not_in_the_order_of_pupils_is_joined_by_hash() {
    let rows = vec![(1, Some(1), None, 1)];
    let join = |ordered: bool, kind, on: &[&str]| {
        let tables = [table(rows.clone(), 9, true), table(rows.clone(), 9, ordered)];
        by_pupil(&hash_join(tables, kind, on, false, None)).name().to_owned()
    };
    assert_eq!(join(true, JoinType::Inner, &["__unit"]), "JoinByPupil");
    assert_eq!(join(false, JoinType::Inner, &["__unit"]), "HashJoinExec");
    assert_eq!(join(true, JoinType::Full, &["__unit"]), "HashJoinExec");
    assert_eq!(join(true, JoinType::Inner, &["number"]), "HashJoinExec");
}
