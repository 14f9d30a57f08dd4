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

    /// How many values its answer has.
    fn values(&self) -> usize {
        match &*self.progress.borrow() {
            Progress::Ended(ending) => {
                ending.as_ref().as_ref().map_or(0, |told| told.rows.len() * told.columns.len())
            }
            Progress::At(_) => 0,
        }
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

/// What one log-in has asked, the oldest first.
type Own = VecDeque<(Instant, Option<(String, Request)>, Job)>;

/// The newest jobs of each log-in: nobody's push out another's.
#[derive(Default)]
pub struct Jobs(Mutex<HashMap<String, Own>>);

/// How many of a log-in are kept; the oldest go first.
const JOBS: usize = 100;
/// How many values their answers have together, at most.
const VALUES: usize = 200_000;
/// For how long.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Lets the old ones go, and the oldest of too many.
fn forget(own: &mut Own, now: Instant) {
    let mut values = 0;
    let newest = own.iter().rev().take(JOBS).take_while(|(at, _, job)| {
        values += job.values();
        now - *at <= KEPT && values <= VALUES
    });
    let kept = newest.count();
    own.drain(..own.len() - kept);
}

/// A key that was used for another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherQuestion;

impl Jobs {
    /// A job of this log-in.
    pub fn get(&self, login: &str, id: &str) -> Option<Job> {
        self.kept().get(login)?.iter().map(|(.., job)| job).find(|job| job.id == id).cloned()
    }

    /// Begins to ask, or joins what was begun under the same key; kept for later.
    pub fn begin(
        &self,
        app: &App,
        caller: &Caller,
        request: Request,
        key: Option<String>,
    ) -> Result<Job, OtherQuestion> {
        let now = Instant::now();
        let mut kept = self.kept();
        kept.retain(|_, own| {
            forget(own, now);
            !own.is_empty()
        });
        let own = kept.entry(caller.login.clone()).or_default();
        let before = own.iter().rev().find_map(|(_, asked, job)| {
            let (used, request) = asked.as_ref()?;
            (Some(used) == key.as_ref()).then_some((request, job))
        });
        if let Some((before, job)) = before {
            if *before != request {
                return Err(OtherQuestion);
            }
            // What failed may be asked again: nothing was told yet.
            if !matches!(job.now(), Progress::Ended(ending) if ending.is_err()) {
                return Ok(job.clone());
            }
        }
        let job = start(app.clone(), caller.clone(), request.clone());
        own.push_back((now, key.map(|key| (key, request)), job.clone()));
        Ok(job)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Own>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to ask, for whoever waits: nothing of it is kept.
pub(crate) fn start(app: App, caller: Caller, request: Request) -> Job {
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
