//! The reference parser of the tests reads what this one reads, by both ways through a body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prom_parse::{Format, SampleSink, samples};

#[path = "../../prom-parse/tests/properties/reference.rs"]
mod reference;

use reference::{Bits, Entry};

#[derive(Default)]
struct Sink {
    labels: Vec<(String, String)>,
    samples: Vec<(String, Vec<(String, String)>, Bits)>,
}

impl SampleSink for Sink {
    fn label(&mut self, name: &str, value: &str) {
        self.labels.push((name.to_owned(), value.to_owned()));
    }

    fn sample(&mut self, name: &str, value: f64) {
        self.samples.push((name.to_owned(), std::mem::take(&mut self.labels), Bits(value)));
    }

    fn abandon(&mut self) {
        self.labels.clear();
    }
}

fuzz_target!(|body: &[u8]| {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let (expected, good) = reference::parse(body, format);
        assert_eq!(reference::actual(body, format), (expected.clone(), good));
        let mut sink = Sink::default();
        assert_eq!(samples(body, format, &mut sink).is_ok(), good);
        assert!(sink.labels.is_empty());
        let expected = expected.into_iter().filter_map(|entry| match entry {
            Entry::Sample(sample) => Some((sample.name, sample.labels, sample.value)),
            _ => None,
        });
        assert_eq!(sink.samples, expected.collect::<Vec<_>>());
    }
});
