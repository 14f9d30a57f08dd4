//! [`Door`]: the one way from a port to [`gate::Enclave::ask`]. It bounds how many questions run at once, lets the
//! others wait in their order, and holds what was read from rows back to a grid of time.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gate::logins::{Caller, Scope};
use gate::{Answered, Enclave, Failure, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::config::Limits;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NotAnswered {
    /// The enclave's own word.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// Too many wait already. Nothing was charged.
    #[error("too many questions wait already; ask again in a moment")]
    Busy,
    /// The session or token does not reach so far.
    #[error("{0}")]
    NotYours(String),
    /// Whoever asked took it back. If it ran already it is charged, and on record.
    #[error("the question was cancelled; if it ran already it is charged, and its answer on record")]
    Cancelled,
}

/// Where a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// So many are before it.
    Waiting(usize),
    /// It runs.
    Running,
}

/// Lanes by log-in and by memorandum, and one for all.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    enclave: Enclave,
    all: Arc<Semaphore>,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    /// All that wait.
    waiting: AtomicUsize,
    limits: Limits,
}

/// Places side by side, and those who wait for one.
struct Lane {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

/// How many lanes are kept before idle ones are let go.
const LANES: usize = 4_096;
/// The part of the queue that one log-in may fill.
const QUEUE_SHARE: usize = 4;

/// Told where a question is.
pub type Told = Box<dyn Fn(Stage) + Send + Sync>;

impl Door {
    /// A door of this enclave.
    pub fn new(enclave: Enclave, limits: Limits) -> Door {
        let all = Arc::new(Semaphore::new(limits.questions));
        Door(Arc::new(Inner { enclave, all, lanes: Mutex::default(), waiting: AtomicUsize::new(0), limits }))
    }

    /// Questions that wait.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Questions that run.
    pub fn running(&self) -> usize {
        self.0.limits.questions - self.0.all.available_permits()
    }

    /// Asks for a caller, and tells where the question is. Once `cancel` becomes true a question that waits is not
    /// asked. One that runs is charged: it goes on to its end and is on record, though nobody is told, so that neither
    /// a cancellation nor a connection that breaks says anything of how long it takes.
    pub async fn ask(
        &self,
        caller: &Caller,
        mut request: Request,
        told: Told,
        mut cancel: watch::Receiver<bool>,
    ) -> Result<Answered, NotAnswered> {
        permitted(caller, &request)?;
        // One answer for a memorandum of others and for one that is not there: the gate's own of the latter.
        match caller.under(&request.memorandum) {
            Some(person) => request.person = Some(person.to_owned()),
            None => request.memorandum = String::new(),
        }
        let asked = Instant::now();
        let places = tokio::select! {
            biased;
            () = cancelled(&mut cancel) => return Err(NotAnswered::Cancelled),
            places = self.places(caller, &request.memorandum, &told) => places?,
        };
        told(Stage::Running);
        let door = self.clone();
        let running = tokio::spawn(async move {
            let answered = door.run(request, asked).await;
            drop(places);
            answered
        });
        tokio::select! {
            biased;
            () = cancelled(&mut cancel) => Err(NotAnswered::Cancelled),
            // A panic says nothing of its cause.
            answered = running => answered.unwrap_or_else(|_| Err(gate::ask::engine_failed().into())),
        }
    }

    /// On a thread that may block, as the ledger waits for its disk. Refusals are held back to the grid.
    async fn run(&self, request: Request, asked: Instant) -> Result<Answered, NotAnswered> {
        let enclave = self.0.enclave.clone();
        let here = tokio::runtime::Handle::current();
        let reads = !request.preview;
        let asking = move || {
            let grid = enclave.time_grid(&request.memorandum);
            (grid, here.block_on(enclave.ask_since(&request, asked.into_std())))
        };
        let (grid, answered) = match tokio::task::spawn_blocking(asking).await {
            Ok((grid, answered)) => (grid?, answered),
            Err(_) => (Duration::ZERO, Err(gate::ask::engine_failed())),
        };
        // What was answered was held already, before it was recorded.
        if reads && answered.is_err() && !grid.is_zero() {
            tokio::time::sleep_until(asked + gate::ask::on_grid(asked.elapsed(), grid)).await;
        }
        Ok(answered?)
    }

    async fn places(
        &self,
        caller: &Caller,
        memorandum: &str,
        told: &Told,
    ) -> Result<[OwnedSemaphorePermit; 3], NotAnswered> {
        let limits = &self.0.limits;
        let person = self.lane(format!("@{}", caller.login), limits.questions_per_person);
        let paper = self.lane(memorandum.to_owned(), limits.questions_per_memorandum);
        let (_own, _) = Waits::begin(&person.waiting, limits.queue.div_ceil(QUEUE_SHARE))?;
        let (_wait, before) = Waits::begin(&self.0.waiting, limits.queue)?;
        told(Stage::Waiting(before));
        // From the narrow to the wide: who waits for a place of their own takes none of the others'.
        let acquire = async {
            let own = person.places.clone().acquire_owned().await.ok()?;
            let paper = paper.places.clone().acquire_owned().await.ok()?;
            let all = self.0.all.clone().acquire_owned().await.ok()?;
            Some([own, paper, all])
        };
        acquire.await.ok_or(NotAnswered::Busy)
    }

    fn lane(&self, name: String, places: usize) -> Arc<Lane> {
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() > LANES {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.places.available_permits() < places);
        }
        let lane = || Lane { places: Arc::new(Semaphore::new(places)), waiting: AtomicUsize::new(0) };
        lanes.entry(name).or_insert_with(|| Arc::new(lane())).clone()
    }
}

/// Whether a session or token reaches so far.
pub(crate) fn permitted(caller: &Caller, request: &Request) -> Result<(), NotAnswered> {
    if caller.may(Scope::Ask) || (request.preview && caller.may(Scope::Preview)) {
        return Ok(());
    }
    let wanted = if request.preview { "preview" } else { "ask" };
    Err(NotAnswered::NotYours(format!("this token was made without the scope `{wanted}`")))
}

/// Counts as waiting until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    /// With the number of those before. A question that finds a place at once waits too, for a moment.
    fn begin(waiting: &'a AtomicUsize, most: usize) -> Result<(Waits<'a>, usize), NotAnswered> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let waits = Waits(waiting);
        if before > most { Err(NotAnswered::Busy) } else { Ok((waits, before)) }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn cancelled(cancel: &mut watch::Receiver<bool>) {
    // Where nobody can cancel any more, it never is.
    if cancel.wait_for(|cancelled| *cancelled).await.is_err() {
        std::future::pending::<()>().await;
    }
}
