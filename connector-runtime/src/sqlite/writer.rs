//! The one thread that writes, and how it commits for many at once.
//!
//! A **round** takes all jobs that wait, up to [`ROUND`], and does them in two commits: first the files with tables, then
//! `control.db`, whose write lock is held throughout, so that no other process can take a lease meanwhile. Each job
//! happens whole or not at all. When a file of tables cannot be committed, the round is taken back and done again without
//! it: what other files have committed already is found there in the ledger.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use super::{
    control::Control,
    data::DataFile,
    fault::{At, Told},
    files,
    place::Place,
};
use crate::store::{Revision, StoreError};

/// The most jobs that share a commit.
const ROUND: usize = 256;

/// The way to the writer's thread, which ends when this is dropped, after the work that waits.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// What a round works on.
pub(super) struct Round<'a> {
    pub(super) control: &'a Control,
    files: &'a mut Files,
    broken: &'a HashMap<String, Told>,
}

/// How much a job's change of `control.db` is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It may be lost with the power: a lease, or what the ledger knows too.
    Process,
    /// It outlives the loss of power: what an operator was told.
    Power,
}

impl Writer {
    pub(super) fn start(dir: &Path, revision: Arc<watch::Sender<Revision>>) -> Result<Self, StoreError> {
        let path = files::control_path(dir);
        let control = Control { connection: files::open_control(dir)?, path };
        let files = Files {
            dir: dir.to_owned(),
            control: Place::of(&control.path),
            open: HashMap::new(),
            failed: HashSet::new(),
        };
        let (jobs, waiting) = channel();
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || run(control, files, &waiting, &revision))
            .map_err(|error| StoreError::failed("cannot start the store's writer thread", error))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Does `work` in the next round and returns what it returned once that is committed. The work may be done again.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnMut(&mut Round<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = Typed { work, durability, result: None, reply };
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(Box::new(job)).map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Round<'_> {
    /// The file of a database, to read its ledger.
    pub(super) fn read_from(&mut self, database: &str) -> Result<&mut DataFile, StoreError> {
        self.files.open(database)
    }

    /// The file of a database, in a transaction.
    pub(super) fn write_to(&mut self, database: &str) -> Result<&mut DataFile, StoreError> {
        if let Some(told) = self.broken.get(&database.to_ascii_lowercase()) {
            return Err(told.tell());
        }
        let file = self.files.open(database)?;
        file.begin()?;
        Ok(file)
    }

    /// Whether a file can be written: by what it did last, or by trying again when that failed.
    pub(super) fn check(&mut self, database: &str) -> Result<(), StoreError> {
        let failed = self.files.failed.contains(&database.to_ascii_lowercase());
        let file = self.write_to(database)?;
        if failed { file.probe() } else { Ok(()) }
    }
}

/// The files of tables that are open.
struct Files {
    dir: PathBuf,
    control: Place,
    open: HashMap<String, DataFile>,
    /// Those that could not be written when that was last tried.
    failed: HashSet<String>,
}

impl Files {
    fn open(&mut self, database: &str) -> Result<&mut DataFile, StoreError> {
        use std::collections::hash_map::Entry;
        match self.open.entry(database.to_ascii_lowercase()) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(_) if files::is_reserved(database) => Err(StoreError::BadTarget(format!(
                "target_database: {database:?} cannot hold tables: control.db is the file of the store itself"
            ))),
            Entry::Vacant(closed) => {
                Ok(closed.insert(DataFile::open(files::data_path(&self.dir, database)?)?))
            }
        }
    }
}

trait Job: Send {
    fn durability(&self) -> Durability;
    fn perform(&mut self, round: &mut Round<'_>) -> Result<(), Told>;
    fn fail(&mut self, error: StoreError);
    fn answer(self: Box<Self>);
}

struct Typed<T, F> {
    work: F,
    durability: Durability,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&mut Round<'_>) -> Result<T, StoreError> + Send> Job for Typed<T, F> {
    fn durability(&self) -> Durability {
        self.durability
    }

    fn perform(&mut self, round: &mut Round<'_>) -> Result<(), Told> {
        let result = (self.work)(round);
        let told = result.as_ref().map(drop).map_err(Told::new);
        self.result = Some(result);
        told
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // Nobody may wait for it any more.
            let _ = self.reply.send(result);
        }
    }
}

fn run(
    mut control: Control,
    mut files: Files,
    waiting: &Receiver<Box<dyn Job>>,
    revision: &watch::Sender<Revision>,
) {
    let mut synchronous = Durability::Power;
    while let Ok(first) = waiting.recv() {
        let mut jobs = vec![first];
        jobs.extend(waiting.try_iter().take(ROUND - 1));
        let wanted = if jobs.iter().any(|job| job.durability() == Durability::Power) {
            Durability::Power
        } else {
            Durability::Process
        };
        let result = reopen(&mut control, &mut files).and_then(|reopened| {
            if reopened {
                synchronous = Durability::Power;
            }
            if wanted != synchronous && set_synchronous(&control, wanted).is_ok() {
                synchronous = wanted;
            }
            let mut broken = HashMap::new();
            while let Attempt::Again = attempt(&control, &mut files, &mut jobs, &mut broken)? {}
            Ok(())
        });
        match result {
            Ok(()) => {
                if let Ok(now) = control.revision() {
                    revision.send_if_modified(|before| std::mem::replace(before, now) != now);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a round of the store failed");
                let told = Told::new(&error);
                jobs.iter_mut().for_each(|job| job.fail(told.tell()));
            }
        }
        fail_point!("answer");
        jobs.into_iter().for_each(Job::answer);
    }
}

/// Opens anew what was put in another's place, and what is stuck in a transaction. Says whether `control.db` was.
fn reopen(control: &mut Control, files: &mut Files) -> Result<bool, StoreError> {
    files.open.retain(|_, file| file.is_in_place());
    if files.control.holds() && control.connection.is_autocommit() {
        return Ok(false);
    }
    if !control.path.exists() {
        return Err(files.control.gone());
    }
    control.connection = files::open_control(&files.dir)?;
    files.control = Place::of(&control.path);
    files.open.clear();
    Ok(true)
}

enum Attempt {
    Committed,
    Again,
}

fn attempt(
    control: &Control,
    files: &mut Files,
    jobs: &mut [Box<dyn Job>],
    broken: &mut HashMap<String, Told>,
) -> Result<Attempt, StoreError> {
    control.run("BEGIN IMMEDIATE", [])?;
    let result = perform(control, files, jobs, broken);
    if !matches!(result, Ok(Attempt::Committed)) {
        files.open.values_mut().for_each(DataFile::roll_back);
        if !control.connection.is_autocommit() {
            control.run("ROLLBACK", [])?;
        }
    }
    result
}

fn perform(
    control: &Control,
    files: &mut Files,
    jobs: &mut [Box<dyn Job>],
    broken: &mut HashMap<String, Told>,
) -> Result<Attempt, StoreError> {
    for job in jobs {
        control.run("SAVEPOINT job", [])?;
        let mut round = Round { control, files: &mut *files, broken: &*broken };
        if let Err(told) = job.perform(&mut round) {
            if control.connection.is_autocommit() {
                // SQLite has taken the whole transaction back, as on a full disk.
                return Err(told.tell());
            }
            control.run("ROLLBACK TO job", [])?;
        }
        control.run("RELEASE job", [])?;
    }
    let mut failed = Vec::new();
    for (database, file) in &mut files.open {
        match file.commit() {
            Ok(true) => drop(files.failed.remove(database)),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, file = %file.path().display(), "a commit failed");
                broken.insert(database.clone(), Told::new(&error));
                failed.push(database.clone());
            }
        }
    }
    if !failed.is_empty() {
        for database in failed {
            // It is opened anew when it is next wanted.
            files.open.remove(&database);
            files.failed.insert(database);
        }
        return Ok(Attempt::Again);
    }
    if !files.control.holds() {
        return Err(files.control.gone());
    }
    fail_point!("control-commit");
    control.run("COMMIT", [])?;
    fail_point!("control-committed");
    Ok(Attempt::Committed)
}

fn set_synchronous(control: &Control, durability: Durability) -> Result<(), StoreError> {
    let level = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    control.connection.pragma_update(None, "synchronous", level).at(&control.path)
}
