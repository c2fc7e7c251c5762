//! The one thread that writes, and how it commits for many at once.
//!
//! A **round** takes all jobs that [wait](super::jobs) and does them in two commits: first the files with tables, then
//! `control.db`, whose write lock is held throughout, so that no other process can take a lease meanwhile. Each job
//! happens whole or not at all. Nearly always all of them happen, so they simply follow each other; when one fails half
//! done, the round is taken back and done again with a savepoint around each job. When a file of tables cannot be
//! committed, the round is taken back and done again without it: what other files have committed already is found there in
//! the ledger.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::{
    control::Control,
    data::DataFile,
    fault::{At, Told},
    files,
    jobs::{Durability, Job, LINGER, Queue, Taker, Typed},
    place::Place,
    siblings::Siblings,
    tasks::Tasks,
};
use crate::store::{Revision, StoreError};

/// The way to the writer's thread, which ends when this is dropped, after the work that waits.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

/// What a round works on.
pub(super) struct Round<'a> {
    /// To change what operators asked for, see [`change`](Self::change).
    pub(super) control: &'a Control,
    pub(super) tasks: &'a mut Tasks,
    files: &'a mut Files,
    retry: &'a mut Retry,
}

/// What was learnt from an attempt at a round that was taken back.
#[derive(Default)]
struct Retry {
    /// Each job gets a savepoint of its own.
    apart: bool,
    /// Files that could not be written.
    broken: HashMap<String, Told>,
}

impl Writer {
    pub(super) fn start(
        dir: &Path,
        revision: Arc<watch::Sender<Revision>>,
        siblings: Arc<Siblings>,
    ) -> Result<Self, StoreError> {
        let path = files::control_path(dir);
        let control = Control { connection: files::open_control(dir)?, path };
        let files = Files {
            dir: dir.to_owned(),
            control: Place::of(&control.path),
            open: HashMap::new(),
            failed: HashSet::new(),
        };
        let store = Open { control, files, tasks: Tasks::default() };
        let jobs = Arc::new(Queue::new(siblings, LINGER));
        let taker = Taker(Arc::clone(&jobs));
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || run(store, &taker, &revision))
            .map_err(|error| StoreError::failed("cannot start the store's writer thread", error))?;
        Ok(Self { jobs, thread: Some(thread) })
    }

    /// Does `work` in the next round and returns what it returned once that is committed. The work may be done again.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnMut(&mut Round<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(durability, false, work).await
    }

    /// As [`run`](Self::run), for the end of a tick: it may wait a moment for others, to share their commit.
    pub(super) async fn run_with_siblings<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl FnMut(&mut Round<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send(durability, true, work).await
    }

    async fn send<T: Send + 'static>(
        &self,
        durability: Durability,
        waits: bool,
        work: impl FnMut(&mut Round<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.put(Box::new(Typed::new(work, durability, waits, reply)));
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs.close();
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
        if !self.retry.broken.is_empty()
            && let Some(told) = self.retry.broken.get(&database.to_ascii_lowercase())
        {
            return Err(told.tell());
        }
        let file = self.files.open(database)?;
        if let Err(error) = file.begin(self.retry.apart) {
            // Others would only wait for it again.
            self.retry.broken.insert(database.to_ascii_lowercase(), Told::new(&error));
            return Err(error);
        }
        Ok(file)
    }

    /// `control.db`, to change what an operator asked for of a connector.
    pub(super) fn change(&mut self, id: Uuid) -> &Control {
        self.tasks.forget(id);
        self.control
    }

    /// Whether a job that fails in part may go on with the rest: what failed leaves no trace.
    pub(super) fn is_apart(&self) -> bool {
        self.retry.apart
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

fn run(mut store: Open, Taker(queue): &Taker, revision: &watch::Sender<Revision>) {
    let mut synchronous = Durability::Power;
    loop {
        let mut jobs = queue.next_round();
        if jobs.is_empty() {
            return;
        }
        let wanted = if jobs.iter().any(|job| job.durability() == Durability::Power) {
            Durability::Power
        } else {
            Durability::Process
        };
        let result = store.reopen().and_then(|reopened| {
            if reopened {
                synchronous = Durability::Power;
            }
            if wanted != synchronous && set_synchronous(&store.control, wanted).is_ok() {
                synchronous = wanted;
            }
            store.commit(&mut jobs)
        });
        match result {
            Ok(now) => {
                // The lookout may know of a later one by now.
                revision.send_if_modified(|known| std::mem::replace(known, now.max(*known)) < now);
            }
            Err(error) => {
                tracing::warn!(%error, "a round of the store failed");
                let told = Told::new(&error);
                jobs.iter_mut().for_each(|job| job.fail(told.tell()));
            }
        }
        fail_point!("answer");
        jobs.into_iter().for_each(Job::answer);
        store.files.open.values_mut().for_each(DataFile::tend);
    }
}

/// All that the writer has open.
struct Open {
    control: Control,
    files: Files,
    tasks: Tasks,
}

/// How an attempt at a round ended.
enum Attempt {
    Committed(Revision),
    Again,
}

impl Open {
    /// Opens anew what was put in another's place, and what is stuck in a transaction. Says whether `control.db` was.
    fn reopen(&mut self) -> Result<bool, StoreError> {
        let (files, tasks) = (&mut self.files, &mut self.tasks);
        files.open.retain(|_, file| {
            let keep = file.is_in_place();
            if !keep {
                tasks.clear();
            }
            keep
        });
        if files.control.holds() && self.control.connection.is_autocommit() {
            return Ok(false);
        }
        if !self.control.path.exists() {
            return Err(files.control.gone());
        }
        tasks.clear();
        self.control.connection = files::open_control(&files.dir)?;
        files.control = Place::of(&self.control.path);
        files.open.clear();
        Ok(true)
    }

    /// Does all jobs and makes them last. Returns the revision that this leads to.
    fn commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<Revision, StoreError> {
        let mut retry = Retry::default();
        loop {
            self.control.run("BEGIN IMMEDIATE", [])?;
            let result = self.attempt(jobs, &mut retry);
            if let Ok(Attempt::Committed(revision)) = result {
                return Ok(revision);
            }
            self.tasks.clear();
            self.files.open.values_mut().for_each(DataFile::roll_back);
            if !self.control.connection.is_autocommit() {
                self.control.run("ROLLBACK", [])?;
            }
            result?;
        }
    }

    fn attempt(&mut self, jobs: &mut [Box<dyn Job>], retry: &mut Retry) -> Result<Attempt, StoreError> {
        let Self { control, files, tasks } = self;
        tasks.meet(control)?;
        for job in jobs {
            if retry.apart {
                control.run("SAVEPOINT job", [])?;
            }
            let before = changes(control, files);
            let mut round = Round { control, tasks, files, retry };
            if let Err(error) = job.perform(&mut round) {
                if control.connection.is_autocommit() {
                    // SQLite has taken the whole transaction back, as on a full disk.
                    return Err(Told::new(error).tell());
                }
                if retry.apart {
                    control.run("ROLLBACK TO job", [])?;
                    tasks.clear();
                } else if matches!(error, StoreError::Failed { .. }) || changes(control, files) != before {
                    retry.apart = true;
                    return Ok(Attempt::Again);
                }
            }
            if retry.apart {
                control.run("RELEASE job", [])?;
            }
        }
        let revision = control.revision()?;
        let mut failed = Vec::new();
        for (database, file) in &mut files.open {
            match file.commit() {
                Ok(true) => drop(files.failed.remove(database)),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, file = %file.path().display(), "a commit failed");
                    retry.broken.insert(database.clone(), Told::new(&error));
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
        Ok(Attempt::Committed(revision))
    }
}

/// Grows with each row that is written anywhere.
fn changes(control: &Control, files: &Files) -> u64 {
    let tables = files.open.values().map(|file| file.connection().total_changes());
    control.connection.total_changes() + tables.sum::<u64>()
}

fn set_synchronous(control: &Control, durability: Durability) -> Result<(), StoreError> {
    let level = match durability {
        Durability::Process => "NORMAL",
        Durability::Power => "FULL",
    };
    control.connection.pragma_update(None, "synchronous", level).at(&control.path)
}
