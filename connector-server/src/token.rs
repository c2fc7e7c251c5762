//! The API token, as a file holds it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use connector_core::Secret;

/// In bytes. A file that is named by mistake must not fill the memory.
const LONGEST: u64 = 4 << 10;

/// The token in a file: its content without white space around it.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let file = folder.path().join("token");
/// std::fs::write(&file, "s3cret\n")?;
/// assert_eq!(connector_server::read_token(&file)?.expose(), "s3cret");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// The file cannot be read, has more than 4 KiB, or holds anything but visible ASCII characters.
pub fn read_token(path: &Path) -> io::Result<Secret> {
    // Room for all of it at once: text that moves leaves a copy behind.
    let mut text = String::with_capacity(LONGEST as usize + 1);
    let read = File::open(path)?.take(LONGEST + 1).read_to_string(&mut text);
    let text = Secret::new(text);
    match text.expose().trim() {
        _ if read? as u64 > LONGEST => Err(io::Error::other("it is larger than 4 KiB")),
        "" => Err(io::Error::other("it is empty")),
        token if token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Secret::new(token)),
        _ => Err(io::Error::other("a token has visible ASCII characters only, without spaces")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_stands_between_white_space() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let read = |content: &[u8]| {
            std::fs::write(&path, content).unwrap();
            read_token(&path).map(|token| token.expose().to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(read(b" s3cret\r\n\n").unwrap(), "s3cret");
        assert_eq!(read("x".repeat(4096).as_bytes()).unwrap().len(), 4096);
        assert_eq!(read("x".repeat(4097).as_bytes()).unwrap_err(), "it is larger than 4 KiB");
        assert_eq!(read(b" \n").unwrap_err(), "it is empty");
        for bad in ["two words", "tök", "a\0b"] {
            let error = read(bad.as_bytes()).unwrap_err();
            assert!(error.contains("visible ASCII"), "{bad:?}: {error}");
        }
        assert!(read(b"\xff").unwrap_err().contains("UTF-8"));
        assert!(read_token(&folder.path().join("missing")).is_err());
    }
}
