use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use tokio::time::Instant;

use crate::backoff::Delays;
use crate::error::{Error, ErrorKind};

/// Decides, error by error, whether a scrape is tried again and when.
pub(crate) struct Retry<R = fn() -> f64> {
    delays: Delays<R>,
    left: u32,
    /// When tries after a timeout, and waits that a server asks for, are to end.
    due: Instant,
    /// When other tries are to end, which is no sooner.
    end: Instant,
}

/// So long a scrape is tried again even where the next one is due, unless time ran out: other failures cost little.
const AT_LEAST: Duration = Duration::from_secs(2);

/// No try has less time than that.
const SHORTEST: Duration = Duration::from_millis(100);

impl Retry {
    /// `due` is when the next scrape of the target is due, which takes the place of what is not done by then.
    pub(crate) fn new(retries: u32, now: Instant, due: Instant) -> Self {
        Self { delays: Delays::new(), left: retries, due, end: due.max(now + AT_LEAST) }
    }
}

impl<R: FnMut() -> f64> Retry<R> {
    /// How long to wait before the next try, or the error again where there is none.
    pub(crate) fn after(&mut self, error: Error, now: Instant) -> Result<Duration, Error> {
        if !error.is_transient() || self.left == 0 {
            return Err(error);
        }
        self.left -= 1;
        let delay = self.delays.next();
        let last = if error.kind() == ErrorKind::Timeout { self.due } else { self.end };
        match error.retry_after() {
            Some(asked) if asked > delay => match now.checked_add(asked) {
                Some(end) if end < self.due => Ok(asked),
                _ => Err(error.with_remark(&format!(
                    ", and asks to be left alone for {} s, until after the next scrape is due",
                    asked.as_secs()
                ))),
            },
            _ if now + delay < last => Ok(delay),
            _ => Err(error.with_remark("; not tried again, as the next scrape is due")),
        }
    }

    /// How long a try that begins now may take at most, in whole milliseconds.
    pub(crate) fn time_left(&self, now: Instant) -> Duration {
        let left = self.end.saturating_duration_since(now).max(SHORTEST);
        Duration::new(left.as_secs(), left.subsec_millis() * 1_000_000)
    }
}

/// What a `Retry-After` header asks for, in seconds or as a date; nothing if it is neither.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn busy(retry_after: Option<u64>) -> Error {
        Error::new(ErrorKind::Status, "busy")
            .with_status(503)
            .with_retry_after(retry_after.map(Duration::from_secs))
    }

    fn retry(now: Instant, due_in: u64) -> Retry<fn() -> f64> {
        let Retry { left, due, end, .. } = Retry::new(3, now, now + Duration::from_secs(due_in));
        Retry { delays: Delays::with_random(|| 0.5), left, due, end }
    }

    #[test]
    fn three_more_tries_and_no_fourth() {
        let now = Instant::now();
        let mut retry = retry(now, 0);
        for ms in [100, 200, 400] {
            assert_eq!(retry.after(busy(None), now).ok(), Some(Duration::from_millis(ms)));
        }
        assert!(retry.after(busy(None), now).is_err());
    }

    #[test]
    fn what_is_not_transient_is_not_tried_again() {
        let now = Instant::now();
        let error = Error::new(ErrorKind::TooLarge, "too large");
        assert_eq!(retry(now, 60).after(error, now).map_err(|e| e.kind()), Err(ErrorKind::TooLarge));
    }

    #[test]
    fn no_try_begins_when_the_next_scrape_is_due_but_for_the_first_seconds() {
        let begun = Instant::now();
        let after_error = |error, spent, due_in| {
            let now = begun + Duration::from_millis(spent);
            retry(begun, due_in).after(error, now).map_err(|error| error.to_string())
        };
        let after = |spent, due_in| after_error(busy(None), spent, due_in);
        let pause = Ok(Duration::from_millis(100));
        let too_late = Err("busy; not tried again, as the next scrape is due".to_owned());
        assert_eq!(after(1_899, 0), pause);
        assert_eq!(after(1_900, 0), too_late);
        assert_eq!(after(9_899, 10), pause);
        assert_eq!(after(9_900, 10), too_late);
        let silent = || Error::new(ErrorKind::Timeout, "silent");
        assert_eq!(after_error(silent(), 899, 1), pause);
        assert!(after_error(silent(), 900, 1).is_err());
    }

    #[test]
    fn a_try_ends_when_the_next_scrape_is_due() {
        let begun = Instant::now();
        let left = |spent, due_in| retry(begun, due_in).time_left(begun + Duration::from_micros(spent));
        assert_eq!(left(5_100_300, 10), Duration::from_millis(4_899));
        assert_eq!(left(9_950_000, 10), SHORTEST);
        assert_eq!(left(11_000_000, 10), SHORTEST);
        assert_eq!(left(500_000, 1), Duration::from_millis(1_500));
    }

    #[test]
    fn retry_after_is_waited_for_where_it_ends_before_the_next_scrape() {
        let now = Instant::now();
        let wait =
            |asked, due_in| retry(now, due_in).after(busy(Some(asked)), now).map_err(|e| e.to_string());
        assert_eq!(wait(1, 2), Ok(Duration::from_secs(1)));
        assert_eq!(wait(0, 2), Ok(Duration::from_millis(100)));
        let too_long = "busy, and asks to be left alone for 2 s, until after the next scrape is due";
        assert_eq!(wait(2, 2), Err(too_long.to_owned()));
        assert!(wait(u64::MAX, 2).is_err());
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let read = |text: &'static str| {
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(text))]), now)
        };
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(read("0"), seconds(0));
        assert_eq!(read(" 120 "), seconds(120));
        assert_eq!(read("99999999999999999999999"), seconds(u64::MAX));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT"), seconds(30));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), seconds(0));
        assert_eq!(read("Sunday, 06-Nov-94 08:50:07 GMT"), seconds(30));
        assert_eq!(read("Sun, 06 Nov 1904 08:49:37 GMT"), None);
        for other in ["", "soon", "-1", "+1", "1.5", "1s"] {
            assert_eq!(read(other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn any_retry_after_header_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..64), due_in in 0u64..1000) {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value)]);
            let asked = retry_after(&headers, SystemTime::now());
            let now = Instant::now();
            if let Ok(wait) = retry(now, due_in).after(busy(None).with_retry_after(asked), now) {
                prop_assert!(wait <= Duration::from_millis(100) || now + wait < now + Duration::from_secs(due_in));
            }
        }
    }
}
