//! [`Jobs`]: questions whose answer is fetched later, their progress and cancellation, and the keys under which a
//! question was asked before, so that a client that lost the answer does not pay twice.

use std::collections::HashMap;
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
    /// Whether nothing is asked, but what it would cost.
    pub preview: bool,
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

/// A question that somebody may come back to.
struct Asked {
    at: Instant,
    /// The key that a client chose, and what it was asked with.
    key: Option<(String, Request)>,
    /// `None` where the answer took too much room: it is on record.
    job: Option<Job>,
}

impl Asked {
    fn goes_on(&self) -> bool {
        self.job.as_ref().is_some_and(|job| matches!(job.now(), Progress::At(_)))
    }
}

/// The newest jobs of each log-in, the oldest first: nobody's push out another's.
#[derive(Default)]
pub struct Jobs(Mutex<HashMap<String, Vec<Asked>>>);

/// How many of a log-in are kept.
const JOBS: usize = 100;
/// How many values their answers have together, beside the newest answer.
const VALUES: usize = 200_000;
/// For how long.
const KEPT: Duration = Duration::from_secs(24 * 3600);

/// Lets go what is old, and the oldest of too many; nothing that goes on.
fn forget(own: &mut Vec<Asked>, now: Instant) {
    let mut surplus = own.len().saturating_sub(JOBS);
    own.retain(|asked| {
        let over = surplus > 0 || now - asked.at > KEPT;
        let kept = asked.goes_on() || !over;
        surplus -= usize::from(!kept && surplus > 0);
        kept
    });
    let mut values = None;
    for asked in own.iter_mut().rev() {
        let Some(job) = asked.job.as_ref().filter(|job| job.values() > 0) else { continue };
        // The newest answer is there to be fetched, however large.
        let together = values.map_or(0, |values| values + job.values());
        if together > VALUES {
            asked.job = None;
        }
        values = Some(together);
    }
    own.retain(|asked| asked.job.is_some() || asked.key.is_some());
}

/// A key that was used for another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherQuestion;

impl Jobs {
    /// A job of this log-in.
    pub fn get(&self, login: &str, id: &str) -> Option<Job> {
        let now = Instant::now();
        let kept = self.kept();
        let own = kept.get(login)?.iter().filter(|asked| now - asked.at <= KEPT);
        own.filter_map(|asked| asked.job.as_ref()).find(|job| job.id == id).cloned()
    }

    /// Begins to ask for somebody who may, or joins what was begun under the same key; kept for later.
    pub fn begin(
        &self,
        app: &App,
        caller: &Caller,
        request: Request,
        key: Option<String>,
    ) -> Result<Job, OtherQuestion> {
        let now = Instant::now();
        let mut kept = self.kept();
        let own = kept.entry(caller.login.clone()).or_default();
        forget(own, now);
        let known = |asked: &Asked| matches!((&asked.key, &key), (Some((used, _)), Some(key)) if used == key);
        let mut asked = request.clone();
        if let Some(place) = own.iter().position(known) {
            let before = &own[place];
            if before.key.as_ref().is_some_and(|(_, before)| *before != request) {
                return Err(OtherQuestion);
            }
            match &before.job {
                Some(job) if matches!(job.now(), Progress::Ended(ending) if is_free(&ending)) => {}
                // Also what failed, where it may have been charged: the same key does not pay twice.
                Some(job) => return Ok(job.clone()),
                // Answered, and on record.
                None => asked.fresh = false,
            }
            own.remove(place);
        }
        let job = start(app.clone(), caller.clone(), asked);
        own.push(Asked { at: now, key: key.map(|key| (key, request)), job: Some(job.clone()) });
        tokio::spawn(tidy(app.clone(), job.clone()));
        Ok(job)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Asked>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_free(ending: &Ending) -> bool {
    ending.as_ref().as_ref().is_err_and(NotAnswered::is_free)
}

/// Once a job has ended, lets go what is too much of everybody's.
async fn tidy(app: App, job: Job) {
    job.ended().await;
    let now = Instant::now();
    app.jobs.kept().retain(|_, own| {
        forget(own, now);
        !own.is_empty()
    });
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
        preview: request.preview,
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use gate::answered::{Balance, Charged};
    use gate::{Options, Price, Rho};

    use super::*;

    fn answered(values: usize) -> Progress {
        let column = serde_json::json!({ "name": "n", "type": "integer", "role": "measure" });
        Progress::Ended(Arc::new(Ok(Answered {
            memorandum: "m".to_owned(),
            question: String::new(),
            release: None,
            replayed: false,
            preview: false,
            charged: Charged { rho: Rho::ZERO, epsilon: 0.0, delta: 0.0, threshold_delta: None },
            balance: Balance { rho: Rho::ZERO, epsilon: None },
            bounds: None,
            board: None,
            columns: vec![serde_json::from_value(column).unwrap()],
            rows: vec![vec![]; values],
            log: None,
            receipt: None,
        })))
    }

    fn asked(id: &str, key: bool, at: Instant, progress: Progress) -> Asked {
        let request = Request {
            memorandum: "m".to_owned(),
            person: None,
            purpose: None,
            justification: None,
            sql: String::new(),
            price: Price::Default,
            confidence: None,
            options: Options::default(),
            fresh: true,
            preview: false,
        };
        let job = Job {
            id: id.to_owned(),
            login: "a".to_owned(),
            memorandum: "m".to_owned(),
            preview: false,
            progress: watch::channel(progress).1,
            cancel: Arc::new(watch::channel(false).0),
        };
        Asked { at, key: key.then(|| (id.to_owned(), request)), job: Some(job) }
    }

    /// Ids, and those of which the key alone is left.
    fn kept(own: &mut Vec<Asked>, now: Instant) -> Vec<String> {
        forget(own, now);
        own.iter()
            .map(|asked| match (&asked.job, &asked.key) {
                (Some(job), _) => job.id.clone(),
                (None, key) => format!("({})", key.as_ref().unwrap().0),
            })
            .collect()
    }

    #[test]
    fn large_answers_are_let_go_before_keys_and_nothing_that_goes_on_is() {
        let now = Instant::now();
        let running = || Progress::At(Stage::Running);
        let mut own = vec![
            asked("running", true, now, running()),
            asked("keyed", true, now, answered(VALUES)),
            asked("large", false, now, answered(VALUES)),
            asked("small", false, now, answered(3)),
            asked("newest", false, now, answered(2 * VALUES)),
            asked("waiting", false, now, Progress::At(Stage::Waiting(1))),
        ];
        let left = ["running", "(keyed)", "small", "newest", "waiting"];
        assert_eq!(kept(&mut own, now), left);
        assert_eq!(kept(&mut own, now), left, "as often as it is looked at");

        let mut own: Vec<Asked> = vec![asked("running", false, now, running())];
        own.extend((0..JOBS + 5).map(|i| asked(&i.to_string(), false, now, answered(1))));
        let kept_of_many = kept(&mut own, now);
        assert_eq!(
            (kept_of_many.len(), kept_of_many[0].as_str(), kept_of_many[1].as_str()),
            (JOBS, "running", "6")
        );
        let later = now + KEPT + Duration::from_secs(1);
        assert_eq!(kept(&mut own, later), ["running"]);
    }
}
