//! Where connectors' secrets come from.

use std::path::{Path, PathBuf};

use connector_core::{ResolveSecret, Secret, SecretError, SecretRef};

/// Resolves `$env:NAME` from an env file and the process environment, and `$file:PATH` from files.
///
/// Everything is read anew at each resolve, so a rotated secret needs no restart. What the daemon itself keeps secret
/// can be [hidden](Self::hide_env_prefix), so that no connector can send it anywhere.
#[derive(Clone, Debug, Default)]
pub struct SecretSources {
    env_file: Option<PathBuf>,
    hidden_env_prefixes: Vec<String>,
    hidden_files: Vec<PathBuf>,
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

    fn env(&self, name: &str) -> Result<String, String> {
        if self.hidden_env_prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())) {
            return Err("this variable is the daemon's own and cannot be referred to".to_owned());
        }
        if let Some(path) = &self.env_file {
            let text = std::fs::read_to_string(path).map_err(|e| format!("cannot read the env file: {e}"))?;
            if let Some(value) = variable(&text, name) {
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
        let real = std::fs::canonicalize(path).map_err(|e| format!("cannot read the file: {e}"))?;
        let hidden = |hidden: &Path| std::fs::canonicalize(hidden).is_ok_and(|hidden| hidden == real);
        if self.hidden_files.iter().chain(&self.env_file).any(|path| hidden(path)) {
            return Err("this file is the daemon's own and cannot be referred to".to_owned());
        }
        let mut text = std::fs::read_to_string(real).map_err(|e| format!("cannot read the file: {e}"))?;
        if text.ends_with('\n') {
            text.pop();
            if text.ends_with('\r') {
                text.pop();
            }
        }
        Ok(text)
    }
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
        std::fs::write(&path, "# PATH=no\nPATH=pa:ss = wörd\n").unwrap();
        let sources = SecretSources::new().env_file(&path);
        assert_eq!(resolve(&sources, "$env:PATH").unwrap(), "pa:ss = wörd");
        std::fs::write(&path, "").unwrap();
        assert_eq!(resolve(&sources, "$env:PATH").unwrap(), std::env::var("PATH").unwrap());
        let error = resolve(&sources, "$env:NO_SUCH_VARIABLE").unwrap_err();
        assert_eq!(error, "`$env:NO_SUCH_VARIABLE`: environment variable is not set");
    }

    #[test]
    fn one_trailing_newline_of_a_file_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret\n\n").unwrap();
        let reference = format!("$file:{}", path.display());
        assert_eq!(resolve(&SecretSources::new(), &reference).unwrap(), "s3cret\n");
        let hidden = SecretSources::new().hide_file(&path);
        assert!(resolve(&hidden, &reference).unwrap_err().contains("the daemon's own"));
        let gone = resolve(&SecretSources::new(), "$file:/nonexistent/secret").unwrap_err();
        assert!(gone.starts_with("`$file:/nonexistent/secret`: cannot read the file"), "{gone}");
    }

    #[test]
    fn the_daemons_own_variables_cannot_be_named() {
        let sources = SecretSources::new().hide_env_prefix("CONNECTORD_");
        assert!(resolve(&sources, "$env:CONNECTORD_STORE").unwrap_err().contains("the daemon's own"));
    }
}
