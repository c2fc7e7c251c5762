//! `Retry-After` and `Content-Type`, each of any bytes that a header can hold.

#![no_main]

mod loopback;

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use prom_scrape::ErrorKind;

/// Until the end of the year 9999, the last that a date can name.
const LONGEST: Duration = Duration::from_secs(253_402_300_800);

fuzz_target!(|value: &[u8]| {
    if value.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
        return;
    }
    let busy = [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: ", value, b"\r\n\r\n"].concat();
    let error = loopback::scrape(&busy).unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Status, Some(503)), "{error}");
    let text = value.trim_ascii();
    if !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        let digits = std::str::from_utf8(text).unwrap();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(digits.parse().unwrap_or(u64::MAX))));
    } else if let Some(asked) = error.retry_after() {
        assert!(asked <= LONGEST && text.ends_with(b"GMT") || text.len() == 24, "{asked:?}");
    }

    let typed = [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Type: ", value, b"\r\n\r\n"].concat();
    let scrape = loopback::scrape(&typed).unwrap();
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let trimmed = value.iter().position(|byte| !blank(byte)).map_or(&value[..0], |start| {
        &value[start..=value.iter().rposition(|byte| !blank(byte)).unwrap()]
    });
    match scrape.content_type() {
        Some(text) => assert_eq!(text.as_bytes(), trimmed),
        None => assert!(trimmed.iter().any(|byte| !byte.is_ascii_graphic())),
    }
});
