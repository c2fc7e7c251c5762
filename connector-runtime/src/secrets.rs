//! Where connectors' secrets come from.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use connector_core::{ResolveSecret, Secret, SecretError, SecretRef};

/// In bytes. A file that is named by mistake must not fill the memory.
const LONGEST_SECRET: usize = 64 << 10;
/// In bytes.
const LONGEST_ENV_FILE: usize = 1 << 20;

/// Resolves `$env:NAME` from an env file and the process environment, and `$file:PATH` from files: regular ones, of up to
/// 64 KiB, as a pipe or a device may never come to an end.
///
/// Everything is read anew at each resolve, so a rotated secret needs no restart. What the daemon itself keeps secret
/// can be [hidden](Self::hide_env_prefix), so that no connector can send it anywhere.
#[derive(Clone, Debug, Default)]
pub struct SecretSources {
    env_file: Option<PathBuf>,
    allowed_env: Vec<String>,
    allowed_dirs: Vec<PathBuf>,
    hidden_env_prefixes: Vec<String>,
    hidden_files: Vec<PathBuf>,
    hidden_dirs: Vec<PathBuf>,
}

impl SecretSources {
    /// The process environment and all files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks for variables in this file first: `NAME=value` lines, `#` begins a comment line.
    #[must_use]
    pub fn env_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.env_file = Some(path.into());
        self
    }

    /// Allows only variables whose names match this pattern, or another one given so. A `*` stands for any characters.
    #[must_use]
    pub fn allow_env(mut self, pattern: &str) -> Self {
        self.allowed_env.push(pattern.to_owned());
        self
    }

    /// Allows only files below this folder, or another one given so, once symbolic links are followed.
    #[must_use]
    pub fn allow_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.allowed_dirs.push(dir.into());
        self
    }

    /// Refuses variables of the process environment whose names begin so.
    #[must_use]
    pub fn hide_env_prefix(mut self, prefix: &str) -> Self {
        self.hidden_env_prefixes.push(prefix.to_owned());
        self
    }

    /// Refuses this file, by whatever path it is named.
    #[must_use]
    pub fn hide_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.hidden_files.push(path.into());
        self
    }

    /// Refuses all files below this folder, once symbolic links are followed.
    #[must_use]
    pub fn hide_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.hidden_dirs.push(dir.into());
        self
    }

    fn env(&self, name: &str) -> Result<String, String> {
        if self.hidden_env_prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())) {
            return Err("this variable is the daemon's own and cannot be referred to".to_owned());
        }
        if !self.allowed_env.is_empty() && !self.allowed_env.iter().any(|pattern| matches(pattern, name)) {
            return Err("connectors may not refer to this variable (--secret-env)".to_owned());
        }
        if let Some(path) = &self.env_file {
            let text = read(path, LONGEST_ENV_FILE).map_err(|e| format!("cannot read the env file: {e}"))?;
            if let Some(value) = variable(text.expose(), name) {
                return Ok(value.to_owned());
            }
        }
        match std::env::var(name) {
            Ok(value) => Ok(value),
            Err(std::env::VarError::NotPresent) => Err("environment variable is not set".to_owned()),
            Err(std::env::VarError::NotUnicode(_)) => Err("environment variable is not UTF-8".to_owned()),
        }
    }

    fn file(&self, path: &str) -> Result<String, String> {
        let failed = |error: io::Error| format!("cannot read the file: {error}");
        let real = fs::canonicalize(path).map_err(failed)?;
        let below = |dir: &PathBuf| fs::canonicalize(dir).is_ok_and(|dir| real.starts_with(dir));
        let mut files = self.hidden_files.iter().chain(&self.env_file);
        if files.any(|hidden| is_same(hidden, &real)) || self.hidden_dirs.iter().any(below) {
            return Err("this file is the daemon's own and cannot be referred to".to_owned());
        }
        if !self.allowed_dirs.is_empty() && !self.allowed_dirs.iter().any(below) {
            return Err("connectors may not refer to this file (--secret-dir)".to_owned());
        }
        let text = read(&real, LONGEST_SECRET).map_err(failed)?;
        let line = text.expose().strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        Ok(line.unwrap_or(text.expose()).to_owned())
    }
}

/// All of a regular file.
fn read(path: &Path, longest: usize) -> io::Result<Secret> {
    let file = fs::metadata(path)?;
    if !file.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let longest = longest as u64;
    // Room for all of it at once: text that moves leaves a copy behind.
    let mut text = String::with_capacity(file.len().min(longest) as usize + 1);
    File::open(path)?.take(longest + 1).read_to_string(&mut text)?;
    let text = Secret::new(text);
    if text.expose().len() as u64 > longest {
        return Err(io::Error::other(format!("it is larger than {} KiB", longest >> 10)));
    }
    Ok(text)
}

/// Whether a path leads to that file, which is given by its real path: by links of either kind, too.
fn is_same(path: &Path, real: &Path) -> bool {
    fs::canonicalize(path).is_ok_and(|path| path == real) || is_one_file(path, real)
}

#[cfg(unix)]
fn is_one_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(not(unix))]
fn is_one_file(_: &Path, _: &Path) -> bool {
    false
}

impl ResolveSecret for SecretSources {
    fn resolve(&self, reference: &SecretRef) -> Result<Secret, SecretError> {
        let found = match reference {
            SecretRef::Env(name) => self.env(name),
            SecretRef::File(path) => self.file(path),
            _ => Err("this kind of reference is not known here".to_owned()),
        };
        found.map(Secret::new).map_err(|reason| SecretError::new(reference, reason))
    }
}

/// Whether the whole of a name matches a pattern, in which a `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|i| rest.get(i..).is_some_and(|rest| matches(after, rest)))
        }),
    }
}

/// The value of the last line that sets the variable.
fn variable<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut assignments = text.lines().rev().filter(|line| !line.trim_start().starts_with('#'));
    assignments
        .find_map(|line| line.split_once('=').filter(|(n, _)| n.trim() == name))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(sources: &SecretSources, reference: &str) -> Result<String, String> {
        let secret = sources.resolve(&reference.parse().unwrap());
        secret.map(|s| s.expose().to_owned()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_env_file_comes_before_the_environment_and_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        fs::write(&path, "# PATH=no\nPATH=pa:ss = wörd\n").unwrap();
        let sources = SecretSources::new().env_file(&path);
        assert_eq!(resolve(&sources, "$env:PATH").unwrap(), "pa:ss = wörd");
        fs::write(&path, "").unwrap();
        assert_eq!(resolve(&sources, "$env:PATH").unwrap(), std::env::var("PATH").unwrap());
        let error = resolve(&sources, "$env:NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(error, "`$env:NO_SUCH_VARIABLE`: environment variable is not set");
    }

    #[test]
    fn one_trailing_newline_of_a_file_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "s3cret\n\n").unwrap();
        let reference = format!("$file:{}", path.display());
        assert_eq!(resolve(&SecretSources::new(), &reference).unwrap(), "s3cret\n");
        let hidden = SecretSources::new().hide_file(&path);
        assert!(resolve(&hidden, &reference).unwrap_err().contains("the daemon's own"));
        let [hard, soft] = ["hard", "soft"].map(|name| folder.path().join(name));
        fs::hard_link(&path, &hard).unwrap();
        std::os::unix::fs::symlink(&path, &soft).unwrap();
        for link in [hard, soft] {
            let reference = format!("$file:{}", link.display());
            assert!(resolve(&hidden, &reference).unwrap_err().contains("the daemon's own"), "{reference}");
        }
        let gone = resolve(&SecretSources::new(), "$file:/nonexistent/secret").unwrap_err();
        assert!(gone.starts_with("`$file:/nonexistent/secret`: cannot read the file"), "{gone}");
    }

    #[test]
    fn a_file_is_read_as_far_as_a_secret_can_go_and_whatever_has_no_end_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, pipe) = (folder.path().join("token"), folder.path().join("pipe"));
        let of = |path: &Path| resolve(&SecretSources::new(), &format!("$file:{}", path.display()));
        fs::write(&path, "x".repeat(LONGEST_SECRET)).unwrap();
        assert_eq!(of(&path).unwrap().len(), LONGEST_SECRET);
        fs::write(&path, "x".repeat(LONGEST_SECRET + 1)).unwrap();
        assert!(of(&path).unwrap_err().ends_with("cannot read the file: it is larger than 64 KiB"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for endless in [&pipe, Path::new("/dev/zero"), folder.path()] {
            let error = of(endless).unwrap_err();
            assert!(error.ends_with("cannot read the file: it is no regular file"), "{error}");
        }
        let error = resolve(&SecretSources::new().env_file(&pipe), "$env:PATH").unwrap_err();
        assert!(error.ends_with("cannot read the env file: it is no regular file"), "{error}");
    }

    #[test]
    fn the_daemons_own_variables_cannot_be_named() {
        let sources = SecretSources::new().hide_env_prefix("CONNECTORD_");
        assert!(resolve(&sources, "$env:CONNECTORD_STORE").unwrap_err().contains("the daemon's own"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_environment_cannot_be_had_as_a_file_either() {
        let sources = SecretSources::new().hide_dir("/proc");
        for path in ["/proc/self/environ", "/proc/thread-self/environ", "/dev/../proc/1/cmdline"] {
            let reference = format!("$file:{path}");
            assert!(resolve(&sources, &reference).unwrap_err().contains("the daemon's own"), "{path}");
        }
        assert!(resolve(&SecretSources::new(), "$file:/proc/self/cmdline").is_ok(), "it can otherwise");
    }

    #[test]
    fn what_is_not_allowed_cannot_be_named() {
        let sources = SecretSources::new().allow_env("PA*H").allow_env("*_TOKEN");
        assert!(resolve(&sources, "$env:PATH").is_ok());
        for refused in ["$env:HOME", "$env:PATHS", "$env:APATH"] {
            assert!(resolve(&sources, refused).unwrap_err().contains("--secret-env"), "{refused}");
        }
        assert!(resolve(&sources, "$env:NO_SUCH_TOKEN").unwrap_err().contains("is not set"));

        let (allowed, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(allowed.path().join("good"), "s3cret").unwrap();
        fs::write(other.path().join("bad"), "s3cret").unwrap();
        std::os::unix::fs::symlink(other.path().join("bad"), allowed.path().join("link")).unwrap();
        let sources = SecretSources::new().allow_dir(allowed.path());
        let file = |dir: &Path, name: &str| format!("$file:{}", dir.join(name).display());
        assert_eq!(resolve(&sources, &file(allowed.path(), "good")).unwrap(), "s3cret");
        for refused in [file(other.path(), "bad"), file(allowed.path(), "link")] {
            assert!(resolve(&sources, &refused).unwrap_err().contains("--secret-dir"), "{refused}");
        }
    }
}
