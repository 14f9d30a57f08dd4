//! [`Jobs`]: questions whose answer is fetched later, their progress and cancellation, and the keys under which a
//! question was asked before, so that a client that lost the answer does not pay twice.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gate::Answered;
use tokio::sync::watch;

use crate::app::App;
use crate::door::{NotAnswered, Stage};
use gate::Request;
use gate::logins::Caller;

/// How it ended, for as many as want to know.
pub type Ending = Arc<Result<Answered, NotAnswered>>;

/// Where a job is.
#[derive(Debug, Clone)]
pub enum Progress {
    /// Not ended.
    At(Stage),
    /// Ended.
    Ended(Ending),
}

/// A question that runs by itself.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its number: 128 random bits.
    pub id: String,
    /// Whose it is.
    pub login: String,
    /// The memorandum.
    pub memorandum: String,
    progress: watch::Receiver<Progress>,
    cancel: Arc<watch::Sender<bool>>,
}

impl Job {
    /// Where it is now.
    pub fn now(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Told of every change.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Ends it before its time; see [`crate::door::Door::ask`].
    pub fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    /// Its ending.
    pub async fn ended(&self) -> Ending {
        let mut progress = self.progress.clone();
        let ended = progress.wait_for(|progress| matches!(progress, Progress::Ended(_))).await;
        match ended.as_deref() {
            Ok(Progress::Ended(ending)) => ending.clone(),
            _ => Arc::new(Err(NotAnswered::Cancelled)),
        }
    }
}

/// A key that a client chose, and what it was asked with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    login: String,
    key: String,
}

#[derive(Default)]
struct Kept {
    jobs: HashMap<String, Job>,
    /// Ids in the order in which they came.
    order: VecDeque<(Instant, String)>,
    keys: HashMap<Key, (Request, String)>,
}

impl Kept {
    /// Lets the old ones go, and the oldest of too many.
    fn forget(&mut self, now: Instant) {
        let before = self.order.len();
        while let Some((at, id)) = self.order.front()
            && (now - *at > KEPT || self.order.len() > JOBS)
        {
            self.jobs.remove(id);
            self.order.pop_front();
        }
        if self.order.len() < before {
            self.keys.retain(|_, (_, id)| self.jobs.contains_key(id));
        }
    }
}

/// The newest jobs.
#[derive(Default)]
pub struct Jobs(Mutex<Kept>);

/// How many are kept; the oldest go first.
const JOBS: usize = 10_000;
/// For how long.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A key that was used for another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherQuestion;

impl Jobs {
    /// A job of this log-in.
    pub fn get(&self, login: &str, id: &str) -> Option<Job> {
        self.kept().jobs.get(id).filter(|job| job.login == login).cloned()
    }

    /// Begins to ask, or joins what was begun under the same key.
    pub fn begin(
        &self,
        app: &App,
        caller: &Caller,
        request: Request,
        key: Option<String>,
    ) -> Result<Job, OtherQuestion> {
        let mut kept = self.kept();
        let key = key.map(|key| Key { login: caller.login.clone(), key });
        kept.forget(Instant::now());
        if let Some((before, id)) = key.as_ref().and_then(|key| kept.keys.get(key))
            && let Some(job) = kept.jobs.get(id)
        {
            if *before != request {
                return Err(OtherQuestion);
            }
            // What failed may be asked again: nothing was told yet.
            if !matches!(job.now(), Progress::Ended(ending) if ending.is_err()) {
                return Ok(job.clone());
            }
        }
        let job = start(app.clone(), caller.clone(), request.clone());
        kept.order.push_back((Instant::now(), job.id.clone()));
        kept.jobs.insert(job.id.clone(), job.clone());
        if let Some(key) = key {
            kept.keys.insert(key, (request, job.id.clone()));
        }
        Ok(job)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(app: App, caller: Caller, request: Request) -> Job {
    let (tell, progress) = watch::channel(Progress::At(Stage::Waiting(0)));
    let tell = Arc::new(tell);
    let (cancel, cancelled) = watch::channel(false);
    let job = Job {
        id: crate::random_id(),
        login: caller.login.clone(),
        memorandum: request.memorandum.clone(),
        progress,
        cancel: Arc::new(cancel),
    };
    tokio::spawn(async move {
        let told = tell.clone();
        let stage = move |stage| drop(told.send_replace(Progress::At(stage)));
        let asked = app.door.ask(&caller, request, Box::new(stage), cancelled).await;
        app.metrics.question(outcome(&asked));
        tell.send_replace(Progress::Ended(Arc::new(asked)));
    });
    job
}

/// Its name among the metrics.
pub(crate) fn outcome(asked: &Result<Answered, NotAnswered>) -> &'static str {
    match asked {
        Ok(answered) if answered.preview => "previewed",
        Ok(answered) if answered.replayed => "replayed",
        Ok(_) => "answered",
        Err(NotAnswered::Busy) => "busy",
        Err(NotAnswered::Cancelled) => "cancelled",
        Err(NotAnswered::NotYours(_)) => "refused",
        Err(NotAnswered::Failure(failure)) => match failure {
            gate::Failure::Refused(_) => "refused",
            gate::Failure::Waiting(_) => "waiting",
            gate::Failure::Exhausted(_) => "exhausted",
            gate::Failure::Open(_) | gate::Failure::Ledger(_) => "failed",
        },
    }
}
