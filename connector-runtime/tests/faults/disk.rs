//! What a disk does with what it is given: fails, or keeps it, or forgets it.

use std::collections::HashMap;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rusqlite::ffi;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Writes find no room.
    Full,
    /// Writes fail.
    Write,
    /// Syncs fail.
    Sync,
    /// Reads fail.
    Read,
}

impl Fault {
    fn code(self) -> c_int {
        match self {
            Self::Full => ffi::SQLITE_FULL,
            Self::Write => ffi::SQLITE_IOERR_WRITE,
            Self::Sync => ffi::SQLITE_IOERR_FSYNC,
            Self::Read => ffi::SQLITE_IOERR_READ,
        }
    }
}

/// A disk under a folder.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Faults, each of the files whose names begin so.
    faults: Vec<(Fault, String)>,
    /// How often there was a fault.
    hits: u64,
    /// What the disk holds of each file; kept only when the power may go.
    kept: Option<HashMap<PathBuf, Kept>>,
    /// Writes and syncs until the power goes.
    left: Option<u64>,
}

/// A file as it is on the disk, and what was written to it since it was synced.
#[derive(Debug, Default)]
struct Kept {
    synced: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

impl Disk {
    /// A disk that works until it is told otherwise.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A disk that keeps account of what was synced, so that its power can go.
    pub(crate) fn with_power() -> Arc<Self> {
        let disk = Self::new();
        disk.lock().kept = Some(HashMap::new());
        disk
    }

    /// From now on, that goes wrong with files whose names begin so.
    pub(crate) fn fail(&self, fault: Fault, files: &str) {
        self.lock().faults.push((fault, files.to_owned()));
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.lock().faults.clear();
    }

    /// How often something went wrong.
    pub(crate) fn hits(&self) -> u64 {
        self.lock().hits
    }

    /// The power goes after so many writes and syncs more.
    pub(crate) fn lose_power_after(&self, operations: u64) {
        self.lock().left = Some(operations);
    }

    /// The files in a folder are on the disk, synced.
    pub(crate) fn hold(&self, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let synced = std::fs::read(&path).unwrap();
            let mut state = self.lock();
            let kept = state.kept(&path).expect("the disk keeps account");
            *kept = Kept { synced, pending: Vec::new() };
        }
    }

    /// Writes what is left of the files into another folder: what was synced, and any part of the rest. Returns how many
    /// changes were lost.
    pub(crate) fn remains(&self, folder: &Path, random: &mut fastrand::Rng) -> usize {
        let mut state = self.lock();
        state.left = Some(0);
        let mut lost = 0;
        for (path, kept) in state.kept.iter().flatten() {
            let mut bytes = kept.synced.clone();
            // All of it, none of it, or something between.
            let odds = [0.0, 0.1, 0.5, 0.9, 1.0][random.usize(..5)];
            for change in &kept.pending {
                if random.f64() < odds {
                    change.apply(&mut bytes, random.bool().then(|| random.f64()));
                } else {
                    lost += 1;
                }
            }
            std::fs::write(folder.join(path.file_name().unwrap()), bytes).unwrap();
        }
        lost
    }

    /// An open file.
    pub(crate) fn file(self: &Arc<Self>, path: &Path) -> File {
        File { disk: Arc::clone(self), path: path.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn check(&mut self, faults: &[Fault], path: &Path) -> Result<(), c_int> {
        let name = path.file_name().unwrap().to_str().unwrap();
        let hit = self.faults.iter().find(|(fault, files)| faults.contains(fault) && name.starts_with(files));
        if let Some((fault, _)) = hit {
            self.hits += 1;
            return Err(fault.code());
        }
        Ok(())
    }

    /// One more operation of a disk that may lose its power.
    fn spend(&mut self) -> Result<(), c_int> {
        match &mut self.left {
            Some(0) => Err(ffi::SQLITE_IOERR),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn kept(&mut self, path: &Path) -> Option<&mut Kept> {
        Some(self.kept.as_mut()?.entry(path.to_owned()).or_default())
    }
}

impl Change {
    /// Makes the change, or so much of a write's beginning.
    fn apply(&self, bytes: &mut Vec<u8>, part: Option<f64>) {
        match self {
            Self::Write(at, new) => {
                let len = part.map_or(new.len(), |part| (new.len() as f64 * part) as usize);
                let at = usize::try_from(*at).unwrap();
                if bytes.len() < at + len {
                    bytes.resize(at + len, 0);
                }
                bytes[at..at + len].copy_from_slice(&new[..len]);
            }
            Self::Truncate(size) => bytes.resize(usize::try_from(*size).unwrap(), 0),
        }
    }
}

/// A file on a disk. Each of these says whether the system may do it, or SQLite's code for what went wrong.
#[derive(Debug)]
pub(crate) struct File {
    disk: Arc<Disk>,
    path: PathBuf,
}

impl File {
    pub(crate) fn read(&self) -> Result<(), c_int> {
        self.disk.lock().check(&[Fault::Read], &self.path)
    }

    pub(crate) fn write(&self, at: u64, bytes: &[u8]) -> Result<(), c_int> {
        self.change(|| Change::Write(at, bytes.to_vec()))
    }

    pub(crate) fn truncate(&self, size: u64) -> Result<(), c_int> {
        self.change(|| Change::Truncate(size))
    }

    pub(crate) fn sync(&self) -> Result<(), c_int> {
        let mut state = self.disk.lock();
        state.check(&[Fault::Sync], &self.path)?;
        state.spend()?;
        if let Some(kept) = state.kept(&self.path) {
            for change in std::mem::take(&mut kept.pending) {
                change.apply(&mut kept.synced, None);
            }
        }
        Ok(())
    }

    pub(crate) fn delete(&self) -> Result<(), c_int> {
        let mut state = self.disk.lock();
        state.spend()?;
        if let Some(kept) = &mut state.kept {
            kept.remove(&self.path);
        }
        Ok(())
    }

    fn change(&self, change: impl FnOnce() -> Change) -> Result<(), c_int> {
        let mut state = self.disk.lock();
        state.check(&[Fault::Full, Fault::Write], &self.path)?;
        state.spend()?;
        if let Some(kept) = state.kept(&self.path) {
            kept.pending.push(change());
        }
        Ok(())
    }
}
