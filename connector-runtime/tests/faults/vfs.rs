//! A disk that fails when it is told to, and forgets what was not synced when its power goes.
//!
//! It is a VFS of SQLite's that stands before the system's own and is the default in this process: files in a folder that
//! a [`Disk`] was made for go through that disk, all others pass.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::{Arc, Mutex, Once};

use rusqlite::ffi;

use crate::disk::{Disk, File};

static DISKS: Mutex<Vec<(PathBuf, Arc<Disk>)>> = Mutex::new(Vec::new());

/// Puts a disk under a folder.
pub(crate) fn mount(folder: &Path, disk: &Arc<Disk>) {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(register);
    DISKS.lock().unwrap().push((folder.to_owned(), Arc::clone(disk)));
}

fn disk_of(path: &Path) -> Option<File> {
    let disks = DISKS.lock().unwrap();
    let (_, disk) = disks.iter().find(|(folder, _)| path.parent() == Some(folder))?;
    Some(disk.file(path))
}

/// An open file, as SQLite holds it. The system's own follows in memory.
#[repr(C)]
struct Shim {
    base: ffi::sqlite3_file,
    file: *mut Option<File>,
}

fn register() {
    // SAFETY: SQLite allows this at any time; a null name asks for the default. The system's VFS lives for good.
    let inner = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
    assert!(!inner.is_null());
    // SAFETY: it is not null, and a VFS is plain data that nobody changes once it is registered.
    let mut vfs = unsafe { *inner };
    // What is not replaced is the system's functions. They need nothing of the VFS that they are called with.
    vfs.iVersion = 2;
    vfs.szOsFile += c_int::try_from(size_of::<Shim>()).unwrap();
    vfs.pNext = ptr::null_mut();
    vfs.zName = c"faulty".as_ptr();
    vfs.pAppData = inner.cast();
    vfs.xOpen = Some(open);
    vfs.xDelete = Some(delete);
    // SAFETY: the VFS is leaked, so it lives as long as the process.
    let result = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 1) };
    assert_eq!(result, ffi::SQLITE_OK);
}

/// The system's VFS.
///
/// # Safety
///
/// `vfs` is the one that [`register`] made.
unsafe fn inner_vfs(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: `register` put it there.
    unsafe { (*vfs).pAppData.cast() }
}

/// The system's file behind an open file of ours, and its methods.
///
/// # Safety
///
/// `file` was opened by [`open`].
unsafe fn inner(file: *mut ffi::sqlite3_file) -> (*mut ffi::sqlite3_file, &'static ffi::sqlite3_io_methods) {
    // SAFETY: SQLite allocated `szOsFile` bytes, so the system's file follows ours; its methods are static.
    unsafe {
        let inner: *mut ffi::sqlite3_file = file.cast::<Shim>().add(1).cast();
        (inner, &*(*inner).pMethods)
    }
}

/// Our own part of an open file.
///
/// # Safety
///
/// `file` was opened by [`open`] and not closed yet.
unsafe fn ours<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a File> {
    // SAFETY: `open` put a box's pointer there, which `close` frees.
    unsafe { (*(*file.cast::<Shim>()).file).as_ref() }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives a valid name or none, and room for `szOsFile` bytes behind `file`.
    unsafe {
        (*file).pMethods = ptr::null();
        let path = if name.is_null() { None } else { CStr::from_ptr(name).to_str().ok().map(Path::new) };
        let inner_vfs = inner_vfs(vfs);
        let inner_file: *mut ffi::sqlite3_file = file.cast::<Shim>().add(1).cast();
        let result = ((*inner_vfs).xOpen.unwrap())(inner_vfs, name, inner_file, flags, out);
        if result == ffi::SQLITE_OK {
            (*file.cast::<Shim>()).file = Box::into_raw(Box::new(path.and_then(disk_of)));
            (*file).pMethods = &METHODS;
        }
        result
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite gives a valid name; the call is passed on as it came.
    unsafe {
        let file = CStr::from_ptr(name).to_str().ok().and_then(|name| disk_of(Path::new(name)));
        if let Some(error) = file.and_then(|file| file.delete().err()) {
            return error;
        }
        let inner = inner_vfs(vfs);
        ((*inner).xDelete.unwrap())(inner, name, sync)
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file once. The box came from `open`.
    unsafe {
        let (inner, methods) = inner(file);
        drop(Box::from_raw((*file.cast::<Shim>()).file));
        (methods.xClose.unwrap())(inner)
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: the call is passed on as it came.
    unsafe {
        if let Some(error) = ours(file).and_then(|ours| ours.read().err()) {
            return error;
        }
        let (inner, methods) = inner(file);
        (methods.xRead.unwrap())(inner, to, len, at)
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, from: *const c_void, len: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives `len` bytes; the call is passed on as it came.
    unsafe {
        let bytes = std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(len).unwrap());
        if let Some(error) = ours(file).and_then(|ours| ours.write(at.unsigned_abs(), bytes).err()) {
            return error;
        }
        let (inner, methods) = inner(file);
        (methods.xWrite.unwrap())(inner, from, len, at)
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: the call is passed on as it came.
    unsafe {
        if let Some(error) = ours(file).and_then(|ours| ours.truncate(size.unsigned_abs()).err()) {
            return error;
        }
        let (inner, methods) = inner(file);
        (methods.xTruncate.unwrap())(inner, size)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the call is passed on as it came.
    unsafe {
        let (inner, methods) = inner(file);
        match ours(file) {
            // The system's own sync would only make the test slow: the process does not lose its power.
            Some(ours) => ours.sync().map_or_else(|error| error, |()| ffi::SQLITE_OK),
            None => (methods.xSync.unwrap())(inner, flags),
        }
    }
}

/// A method that passes its call on to the system's file.
macro_rules! pass {
    ($name:ident, $method:ident ($($argument:ident: $kind:ty),*) $(-> $result:ty)?) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) $(-> $result)? {
            // SAFETY: the call is passed on as it came.
            unsafe {
                let (inner, methods) = inner(file);
                (methods.$method.unwrap())(inner $(, $argument)*)
            }
        }
    };
}

pass!(file_size, xFileSize(size: *mut i64) -> c_int);
pass!(lock, xLock(level: c_int) -> c_int);
pass!(unlock, xUnlock(level: c_int) -> c_int);
pass!(check_reserved_lock, xCheckReservedLock(out: *mut c_int) -> c_int);
pass!(file_control, xFileControl(what: c_int, argument: *mut c_void) -> c_int);
pass!(sector_size, xSectorSize() -> c_int);
pass!(device_characteristics, xDeviceCharacteristics() -> c_int);
pass!(shm_map, xShmMap(page: c_int, size: c_int, extend: c_int, to: *mut *mut c_void) -> c_int);
pass!(shm_lock, xShmLock(offset: c_int, n: c_int, flags: c_int) -> c_int);
pass!(shm_barrier, xShmBarrier());
pass!(shm_unmap, xShmUnmap(delete: c_int) -> c_int);

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without the third version's memory maps, every write is seen.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
