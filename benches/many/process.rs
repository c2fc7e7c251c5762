//! What this process uses.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// CPU time of all threads, and bytes of memory, both so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) resident: u64,
}

impl Usage {
    pub(crate) fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::new(cpu.tv_sec.unsigned_abs(), cpu.tv_nsec as u32);
        Self { cpu, resident: status("VmRSS:") }
    }
}

/// The most bytes of memory that were resident at any time.
pub(crate) fn most_resident() -> u64 {
    status("VmHWM:")
}

/// Raises the number of files and sockets that may be open as far as this user may.
pub(crate) fn allow_many_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("a limit within the hard one");
}

/// A number of kilobytes out of `/proc/self/status`, in bytes.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line of that name");
    let number = line.trim().trim_end_matches(" kB");
    number.parse::<u64>().expect("a number of kilobytes") * 1024
}
