//! The strict level on any bytes: no panic, samples as the server reads them, errors in their place.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prom_parse::{Entry, Format, Sample, entries, strict};

fuzz_target!(|body: &[u8]| {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let served = entries(body, format).map_while(Result::ok).filter_map(sample);
        let kept = strict(body, format).map_while(Result::ok).filter_map(sample);
        for (served, kept) in served.zip(kept) {
            // NaN equals itself here.
            assert_eq!(format!("{served:?}"), format!("{kept:?}"));
        }
        let mut walk = strict(body, format).skip_while(Result::is_ok);
        if let Some(Err(error)) = walk.next() {
            let before = &body[..error.offset()];
            assert_eq!(error.line(), before.iter().filter(|byte| **byte == b'\n').count() + 1);
            assert!(error.rule().is_none_or(|rule| error.column() == 1 && rule.as_str() == error.expected()));
            assert!(!error.to_string().contains(|c: char| c.is_control()));
            assert!(walk.next().is_none());
        }
    }
});

fn sample(entry: Entry<'_>) -> Option<Sample<'_>> {
    match entry {
        Entry::Sample(sample) => Some(sample),
        _ => None,
    }
}
