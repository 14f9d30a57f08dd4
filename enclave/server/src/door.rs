//! [`Door`]: the one way from a port to [`gate::Enclave::ask`]. It bounds how many questions run at once, lets the
//! others wait in their order, and holds what was read from rows back to a grid of time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gate::logins::{Caller, Scope};
use gate::{Answered, Enclave, Failure, Request, Rule};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use crate::config::Limits;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum NotAnswered {
    /// The enclave's own word.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// Too many wait already, or the process is about to stop. Nothing was charged.
    #[error("too many questions wait already; ask again in a moment")]
    Busy,
    /// The session or token does not reach so far.
    #[error("{0}")]
    NotYours(String),
    /// Whoever asked took it back. If it ran already it is charged, and on record.
    #[error("the question was cancelled; if it ran already it is charged, and its answer on record")]
    Cancelled,
}

impl NotAnswered {
    /// Whether nothing can have been charged: the same may be asked again under the same key.
    pub fn is_free(&self) -> bool {
        match self {
            NotAnswered::Busy | NotAnswered::NotYours(_) => true,
            NotAnswered::Failure(Failure::Waiting(_) | Failure::Exhausted(_)) => true,
            // What goes wrong while rows are read is told after the charge.
            NotAnswered::Failure(Failure::Refused(refusal)) => refusal.rule != Rule::Engine,
            NotAnswered::Failure(Failure::Open(_) | Failure::Ledger(_)) | NotAnswered::Cancelled => false,
        }
    }
}

/// Where a question is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// So many are before it: of its log-in or memorandum, or for one of the places of all.
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
    lanes: Mutex<HashMap<String, Arc<Semaphore>>>,
    queue: Queue,
    limits: Limits,
}

/// Those who wait, by the order in which they came.
#[derive(Default)]
struct Queue {
    waiting: Mutex<BTreeMap<u64, Waiter>>,
    /// Told whenever one leaves.
    moved: watch::Sender<()>,
}

/// One who waits.
struct Waiter {
    login: String,
    memorandum: String,
    /// Whether it has a place of its log-in's and memorandum's, and waits for one of all.
    wide: bool,
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
        Door(Arc::new(Inner { enclave, all, lanes: Mutex::default(), queue: Queue::default(), limits }))
    }

    /// Questions that wait.
    pub fn waiting(&self) -> usize {
        self.0.queue.waiting().len()
    }

    /// Questions that run.
    pub fn running(&self) -> usize {
        self.0.limits.questions - self.0.all.available_permits()
    }

    /// From now on no question begins: those that wait are told that they were not asked.
    pub fn close(&self) {
        self.0.all.close();
        self.0.queue.moved.send_replace(());
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

    /// A place of the log-in's, of the memorandum's and of all.
    async fn places(
        &self,
        caller: &Caller,
        memorandum: &str,
        told: &Told,
    ) -> Result<[OwnedSemaphorePermit; 3], NotAnswered> {
        let limits = &self.0.limits;
        let own = self.lane(format!("@{}", caller.login), limits.questions_per_person);
        let paper = self.lane(memorandum.to_owned(), limits.questions_per_memorandum);
        let now = |lane: &Arc<Semaphore>| lane.clone().try_acquire_owned().ok();
        if let Some(own) = now(&own)
            && let Some(paper) = now(&paper)
            && let Some(all) = now(&self.0.all)
        {
            return Ok([own, paper, all]);
        }
        let waits = self.0.queue.begin(&caller.login, memorandum, limits.queue)?;
        // From the narrow to the wide: who waits for a place of their own takes none of the others'.
        let acquire = async {
            let own = own.acquire_owned().await.ok()?;
            let paper = paper.acquire_owned().await.ok()?;
            waits.goes_wide();
            let all = self.0.all.clone().acquire_owned().await.ok()?;
            Some([own, paper, all])
        };
        tokio::pin!(acquire);
        let mut moved = self.0.queue.moved.subscribe();
        let mut known = None;
        while !self.0.all.is_closed() {
            let before = waits.before();
            if known.replace(before) != Some(before) {
                told(Stage::Waiting(before));
            }
            tokio::select! {
                biased;
                places = &mut acquire => return places.ok_or(NotAnswered::Busy),
                // The queue lives as long as the door.
                _ = moved.changed() => {}
            }
        }
        Err(NotAnswered::Busy)
    }

    fn lane(&self, name: String, places: usize) -> Arc<Semaphore> {
        let mut lanes = self.0.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() > LANES {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.available_permits() < places);
        }
        lanes.entry(name).or_insert_with(|| Arc::new(Semaphore::new(places))).clone()
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

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, at the end; where there are `most`, or a log-in's share of them, none.
    fn begin(&self, login: &str, memorandum: &str, most: usize) -> Result<Waits<'_>, NotAnswered> {
        let mut waiting = self.waiting();
        let own = waiting.values().filter(|waiter| waiter.login == login).count();
        if waiting.len() >= most || own >= most.div_ceil(QUEUE_SHARE) {
            return Err(NotAnswered::Busy);
        }
        let number = waiting.last_key_value().map_or(0, |(last, _)| last + 1);
        let (login, memorandum) = (login.to_owned(), memorandum.to_owned());
        waiting.insert(number, Waiter { login, memorandum, wide: false });
        Ok(Waits { queue: self, number })
    }
}

/// A place in the queue, until it is dropped.
struct Waits<'a> {
    queue: &'a Queue,
    number: u64,
}

impl Waits<'_> {
    /// Those who came before and want a place that this one wants: the log-in's, the memorandum's, or one of all.
    fn before(&self) -> usize {
        let waiting = self.queue.waiting();
        let Some(own) = waiting.get(&self.number) else { return 0 };
        let hinders =
            |other: &Waiter| other.wide || other.login == own.login || other.memorandum == own.memorandum;
        waiting.range(..self.number).filter(|(_, other)| hinders(other)).count()
    }

    fn goes_wide(&self) {
        if let Some(own) = self.queue.waiting().get_mut(&self.number) {
            own.wide = true;
        }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.queue.waiting().remove(&self.number);
        self.queue.moved.send_replace(());
    }
}

async fn cancelled(cancel: &mut watch::Receiver<bool>) {
    // Where nobody can cancel any more, it never is.
    if cancel.wait_for(|cancelled| *cancelled).await.is_err() {
        std::future::pending::<()>().await;
    }
}
