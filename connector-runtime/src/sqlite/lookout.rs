//! Notices what other processes change in `control.db`: a thread that looks several times a second, at next to no cost while
//! nobody commits.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::{control::Control, fault::At, files, place::Place};
use crate::store::{Revision, StoreError};

/// How often other processes' changes are looked for.
const POLL: Duration = Duration::from_millis(200);

/// The thread that looks. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Lookout {
    end: Option<Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Lookout {
    /// Begins to look at the store in a folder, and to tell of later revisions.
    pub(super) fn start(dir: &Path, revision: Arc<watch::Sender<Revision>>) -> Result<Self, StoreError> {
        let (end, ended) = channel();
        let mut view = View { dir: dir.to_owned(), open: None };
        let thread = std::thread::Builder::new()
            .name("sqlite-lookout".to_owned())
            .spawn(move || run(&mut view, &ended, &revision))
            .map_err(|error| StoreError::failed("cannot start the store's lookout thread", error))?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(view: &mut View, ended: &Receiver<Infallible>, revision: &watch::Sender<Revision>) {
    while ended.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
        view.look_and_tell(revision);
    }
}

/// What is seen of `control.db`.
struct View {
    dir: PathBuf,
    open: Option<Open>,
}

struct Open {
    control: Control,
    place: Place,
    /// SQLite's number of the state that was read last.
    version: Option<i64>,
}

impl View {
    /// Tells what the file says, also where that is an earlier revision: another file may have been put in its place. Where
    /// the writer knows of a later one of this file, the next look finds it.
    fn look_and_tell(&mut self, revision: &watch::Sender<Revision>) {
        // What keeps it from looking, readiness tells of; it looks again.
        if let Ok(Some(now)) = self.look() {
            revision.send_if_modified(|known| std::mem::replace(known, now) != now);
        }
    }

    /// The revision, if anybody has committed since the last look.
    fn look(&mut self) -> Result<Option<Revision>, StoreError> {
        let mut open = match self.open.take() {
            Some(open) if open.place.holds() => open,
            _ => Open::new(&self.dir)?,
        };
        // First, so that what is committed from here on is read with the next look.
        let version = open.control.data_version()?;
        let is_news = open.version.replace(version) != Some(version);
        let revision = if is_news { Some(open.control.revision()?) } else { None };
        self.open = Some(open);
        Ok(revision)
    }
}

impl Open {
    fn new(dir: &Path) -> Result<Self, StoreError> {
        let path = files::control_path(dir);
        let place = Place::of(&path);
        let connection = files::open_control_reader(dir)?;
        // Rather than to wait for whoever holds the file, it looks again.
        connection.busy_timeout(Duration::ZERO).at(&path)?;
        Ok(Self { control: Control { connection, path }, place, version: None })
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use connector_core::{Column, ColumnType, Schema};

    use super::*;
    use crate::model::ConnectorSpec;
    use crate::sqlite::SqliteStore;
    use crate::store::Store as _;

    fn schema() -> Schema {
        Schema::new([Column::time("timestamp"), Column::value("celsius", ColumnType::Real)]).unwrap()
    }

    fn spec(name: &str) -> ConnectorSpec {
        ConnectorSpec {
            name: name.into(),
            type_id: "thermometer".into(),
            target_database: "home".into(),
            target_table: "temperature".into(),
            schedule_ms: 1_000,
            config: serde_json::Value::Null,
        }
    }

    #[tokio::test]
    async fn a_revision_is_read_when_somebody_has_committed() -> Result<(), Box<dyn Error>> {
        let dir = tempfile::tempdir()?;
        let store = SqliteStore::open(dir.path())?;
        let mut view = View { dir: dir.path().to_owned(), open: None };
        let mut latest = view.look()?.ok_or("no revision at first")?;
        for name in ["one", "two"] {
            assert_eq!(view.look()?, None);
            store.create(spec(name), &schema()).await?;
            let now = view.look()?.ok_or("no revision after a commit")?;
            assert!(now > latest);
            latest = now;
        }
        let file = files::control_path(dir.path());
        let away = file.with_extension("away");
        std::fs::rename(&file, &away)?;
        assert!(view.look().is_err());
        std::fs::rename(&away, &file)?;
        assert_eq!(view.look()?, Some(latest));
        assert_eq!(view.look()?, None);
        Ok(())
    }

    #[tokio::test]
    async fn another_file_in_its_place_is_told_of_though_it_is_at_an_earlier_revision()
    -> Result<(), Box<dyn Error>> {
        let (dir, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
        drop(SqliteStore::open(other.path())?);
        let store = SqliteStore::open(dir.path())?;
        store.create(spec("one"), &schema()).await?;
        let revision = watch::Sender::new(Revision::default());
        let mut view = View { dir: dir.path().to_owned(), open: None };
        view.look_and_tell(&revision);
        let before = *revision.borrow();
        for name in ["control.db-wal", "control.db-shm", "control.db"] {
            std::fs::rename(dir.path().join(name), other.path().join(format!("{name}.away")))?;
        }
        std::fs::rename(files::control_path(other.path()), files::control_path(dir.path()))?;
        view.look_and_tell(&revision);
        assert!(*revision.borrow() < before);
        Ok(())
    }
}
