//! [`Vault::evaluate`]: DataFusion reads, filters and joins one part of the pupils after the other; pupils
//! are bounded and added up in one streaming pass over each part, in the order of pupils; the totals come out
//! sealed.
//!
//! In reading order: `engine` (DataFusion, confined) · `join`, `meet` (joins along the pupil) · `contribute` (rows → pupils) · `rows` (what a row
//! adds) · `bounds` (which rows count) · `words`, `keys`, `numbering`, `tally` (what the groups of one grouping come to) ·
//! `race` (the same under many bounds at once) · `totals` (of all parts).

mod bounds;
mod contribute;
mod damage;
mod engine;
mod join;
mod keys;
mod meet;
mod numbering;
mod race;
mod rows;
mod tally;
mod totals;
mod until;
mod words;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use datafusion::common::{DataFusionError, Result as Done};
use datafusion::physical_plan::{ExecutionPlan, displayable, execute_stream};
use disclosure_rules::measure::GroupKeys;
use disclosure_rules::rules::Limits;
use disclosure_rules::{Exact, PlanDigest, Value};
use futures::TryStreamExt;
use queries::Stage;
use queries::tree::{Literal, Rel};
use thread_priority::{ThreadPriority, set_current_thread_priority};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

use crate::scan::StoredTables;
use crate::snapshot::Snapshot;
use crate::vault::Vault;
use bounds::Secret;
use contribute::{Contributions, Sums};
use engine::Engine;
use totals::Totals;

/// Why a stage was not evaluated. None of these says anything about a row.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The snapshot lacks something that the stage reads: known before anything is charged.
    #[error("`{0}` holds no data yet")]
    NotIngested(String),
    /// The public keys are more than the rule set allows: known before anything is charged.
    #[error("the keys have more than {0} combinations")]
    TooManyKeys(u64),
    /// Time, memory or groups ran out, or the engine failed.
    #[error("the question could not be carried out within its limits")]
    Failed,
    /// A file that the stage reads is not the one that was written: known before any number comes out.
    #[error("`{0}` is damaged: it is not what the vault wrote there")]
    Damaged(String),
    /// Rows could not be read; `damage` says why.
    #[error("the question could not be carried out within its limits")]
    Unread,
}

impl From<DataFusionError> for EvaluateError {
    fn from(error: DataFusionError) -> EvaluateError {
        // The engine's own words may quote a value.
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => EvaluateError::Failed,
            _ => EvaluateError::Unread,
        }
    }
}

impl Vault {
    /// The keys of a stage's finest grouping, from public tables and listed values alone; and whether the
    /// snapshot has what the stage reads.
    pub async fn keys(
        &self,
        stage: &Stage,
        snapshot: &Snapshot,
        allowed: Allowed<'_>,
    ) -> Result<GroupKeys, EvaluateError> {
        check_ingested(stage.source(), snapshot)?;
        if stage.groupings().iter().any(|grouping| grouping.unknown_keys) {
            return Ok(GroupKeys::Unknown);
        }
        let source = stage.source();
        let (engine, tables, stage) =
            (Engine::new(allowed, &snapshot.storage)?, StoredTables::of(snapshot), stage.clone());
        within(allowed.end, async move {
            let Some(logical) = queries::emit::public_keys(&stage, &|name| tables.public(name))? else {
                return Ok(GroupKeys::Public(vec![vec![]]));
            };
            let mut keys = Vec::new();
            let mut batches = execute_stream(engine.plan(&logical).await?, engine.task())?;
            while let Some(batch) = batches.try_next().await? {
                for row in 0..batch.num_rows() {
                    let key = batch.columns().iter().map(|column| rows::key_value(column, row));
                    keys.push(key.collect::<Done<Vec<Value>>>()?);
                }
                if keys.len() as u64 > stage.max_groups() {
                    return Err(EvaluateError::TooManyKeys(stage.max_groups()));
                }
            }
            Ok(GroupKeys::Public(keys))
        })
        .await
        .map_err(|error| match error {
            EvaluateError::Unread => damage::named(source, snapshot),
            error => error,
        })
    }

    /// How one part of a stage is read, for those who watch over speed: says nothing of any row.
    pub async fn explain(
        &self,
        stage: &Stage,
        snapshot: &Snapshot,
        limits: &Limits,
    ) -> Result<String, EvaluateError> {
        let physical = Job::new(stage, &[], snapshot, Allowed::from_now(limits))?.plan(0).await?;
        Ok(displayable(physical.as_ref()).indent(false).to_string())
    }

    /// The exact totals of a stage, sealed under `digest`; `bindings` are the constants that earlier releases
    /// gave. Bounds each pupil's contribution as the stage says; which of an over-contributing pupil's rows
    /// and groups are kept is decided by a fresh secret. What is allowed is for all stages of a
    /// question together.
    pub async fn evaluate(
        &self,
        stage: &Stage,
        bindings: &[Literal],
        digest: PlanDigest,
        snapshot: &Snapshot,
        allowed: Allowed<'_>,
    ) -> Result<Exact, EvaluateError> {
        let job = Arc::new(Job::new(stage, bindings, snapshot, allowed)?);
        match within(allowed.end, async move { Ok(Exact::seal(digest, job.run().await?.into_groups())) })
            .await
        {
            Err(EvaluateError::Unread) => Err(damage::named(stage.source(), snapshot)),
            evaluated => evaluated,
        }
    }
}

/// A stage over a snapshot.
struct Job {
    stage: Stage,
    bindings: Vec<Literal>,
    tables: StoredTables,
    engine: Engine,
    secret: Arc<Secret>,
    sums: Sums,
    parts: u32,
}

impl Job {
    fn new(
        stage: &Stage,
        bindings: &[Literal],
        snapshot: &Snapshot,
        allowed: Allowed<'_>,
    ) -> Result<Job, EvaluateError> {
        Ok(Job {
            stage: stage.clone(),
            bindings: bindings.to_vec(),
            tables: StoredTables::of(snapshot),
            engine: Engine::new(allowed, &snapshot.storage)?,
            secret: Arc::new(Secret::fresh().map_err(|_| EvaluateError::Failed)?),
            sums: Sums::of(stage),
            parts: snapshot.partitions,
        })
    }

    /// Adds up all parts, two at a time for each core: one is read while the other is added up.
    async fn run(self: Arc<Job>) -> Result<Totals, EvaluateError> {
        let mut waiting = 0..self.parts;
        let mut running: JoinSet<_> =
            waiting.by_ref().take(2 * cores()).map(|part| self.clone().part(part)).collect();
        let mut totals = Totals::none(self.sums.groupings.len());
        let memory = self.engine.memory("totals");
        while let Some(part) = running.join_next().await {
            totals.merge(part.map_err(|_| EvaluateError::Failed)??);
            if totals.most_groups() as u64 > self.sums.max_groups {
                return Err(EvaluateError::Failed);
            }
            memory.try_resize(totals.size())?;
            running.extend(waiting.next().map(|part| self.clone().part(part)));
        }
        Ok(totals)
    }

    /// How one part is read.
    async fn plan(&self, part: u32) -> Done<Arc<dyn ExecutionPlan>> {
        let tables = |name: &str| self.tables.part(name, part);
        let logical = queries::emit::source(&self.stage, &self.bindings, &tables)?;
        self.engine.plan_by_pupil(&logical).await
    }

    /// Adds up one part.
    async fn part(self: Arc<Job>, part: u32) -> Done<Totals> {
        let physical = self.plan(part).await?;
        let memory = self.engine.memory("pupils");
        let mut contributions = Contributions::new(&self.sums, Arc::clone(&self.secret), memory)?;
        let mut batches = physical.execute(0, self.engine.task())?;
        while let Some(batch) = batches.try_next().await? {
            contributions.add(&batch)?;
        }
        contributions.finish()
    }
}

/// For each core, as many threads that evaluate. A join may hold one for long, and a question has two parts for each core
/// under way: so many questions can do that before others wait for a thread and not only for their share of the cores.
const THREADS_PER_CORE: usize = 16;

/// The threads that evaluate. They are none of those that wait for the network, or for time to be over, and run where those
/// leave the cores free: however many questions add up rows, others are heard and limits are kept.
fn threads() -> Result<Handle, EvaluateError> {
    static THREADS: OnceLock<Option<Runtime>> = OnceLock::new();
    let start = || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS_PER_CORE * cores()).thread_name("evaluate").enable_all();
        // Where a system does not let a thread step back, it does not.
        builder.on_thread_start(|| drop(set_current_thread_priority(ThreadPriority::Min)));
        builder.build().ok()
    };
    THREADS.get_or_init(start).as_ref().map(|runtime| runtime.handle().clone()).ok_or(EvaluateError::Failed)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What one question is allowed, however many stages it has.
#[derive(Debug, Clone, Copy)]
pub struct Allowed<'a> {
    limits: &'a Limits,
    /// When its time is over.
    end: Instant,
}

impl<'a> Allowed<'a> {
    /// For a question that begins now.
    pub fn from_now(limits: &'a Limits) -> Allowed<'a> {
        Allowed { limits, end: Instant::now() + Duration::from_secs(limits.timeout_seconds) }
    }
}

/// Runs until the time is over, and stops what is running then, or when nobody waits any longer. A panic is one more failure.
async fn within<T: Send + 'static>(
    end: Instant,
    work: impl Future<Output = Result<T, EvaluateError>> + Send + 'static,
) -> Result<T, EvaluateError> {
    let mut running = JoinSet::new();
    running.spawn_on(work, &threads()?);
    match tokio::time::timeout_at(end.into(), running.join_next()).await {
        Ok(Some(Ok(done))) => done,
        _ => Err(EvaluateError::Failed),
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
