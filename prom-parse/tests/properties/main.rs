//! Properties that hold for any text: what is written reads back, a plain parser agrees, a cut body shows.

#![allow(clippy::unwrap_used)]

mod document;
mod families;
mod reference;
mod texts;

use prom_parse::{Format, SampleSink, entries, samples, strict};
use proptest::prelude::*;
use proptest::sample::select;

use document::{Document, document};
use reference::{Bits, Entry, actual};
use texts::{any_bytes, edits, near_misses, soup};

type Pushed = (String, Vec<(String, String)>, Bits);

#[derive(Default)]
struct Sink {
    labels: Vec<(String, String)>,
    samples: Vec<Pushed>,
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

/// Both ways through a body read what the reference reads, and stop where it stops: at the end of a text, which windows
/// cannot be laid over, and with more text behind.
fn agree(text: &[u8], format: Format) -> Result<(), TestCaseError> {
    agree_as_it_is(text, format)?;
    agree_as_it_is(&[text, &b"\nx{y=\"z\"} 1".repeat(10)].concat(), format)
}

fn agree_as_it_is(body: &[u8], format: Format) -> Result<(), TestCaseError> {
    let (expected, good) = reference::parse(body, format);
    let (read, read_well) = actual(body, format);
    prop_assert_eq!((&expected, good), (&read, read_well));
    let mut sink = Sink::default();
    let count = samples(body, format, &mut sink);
    prop_assert_eq!(count.is_ok(), good);
    prop_assert!(sink.labels.is_empty());
    let expected = expected.into_iter().filter_map(|entry| match entry {
        Entry::Sample(sample) => Some((sample.name, sample.labels, sample.value)),
        _ => None,
    });
    prop_assert_eq!(&sink.samples, &expected.collect::<Vec<_>>());
    prop_assert_eq!(count.unwrap_or(sink.samples.len()), sink.samples.len());
    Ok(())
}

fn both_formats() -> impl Strategy<Value = Format> {
    select(vec![Format::Prometheus, Format::OpenMetrics])
}

fn any_document() -> impl Strategy<Value = (Format, Document)> {
    both_formats().prop_flat_map(|format| (Just(format), document(format)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back((format, document) in any_document()) {
        let text = document.text();
        prop_assert_eq!(actual(text.as_bytes(), format), (document.entries(), true));
        agree(text.as_bytes(), format)?;
    }

    #[test]
    fn the_reference_agrees_on_mutated_text((format, document) in any_document(), edits in edits()) {
        let mut text = document.text().into_bytes();
        edits.iter().for_each(|edit| edit.apply(&mut text));
        agree(&text, format)?;
    }

    #[test]
    fn both_levels_read_the_same_samples((format, document) in any_document(), edits in edits()) {
        let mut text = document.text().into_bytes();
        edits.iter().for_each(|edit| edit.apply(&mut text));
        let is_sample = |entry: &Entry| matches!(entry, Entry::Sample(_));
        let read = actual(&text, format).0.into_iter().filter(is_sample);
        let read_strictly = strict(&text, format).map_while(Result::ok).map(|entry| Entry::from(&entry));
        for (read, read_strictly) in read.zip(read_strictly.filter(is_sample)) {
            prop_assert_eq!(read, read_strictly);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_body_shows_wherever_it_is_cut((format, document) in any_document()) {
        let text = document.text();
        for cut in 0..=text.len() {
            cut_shows(format, &document, &text.as_bytes()[..cut])?;
        }
    }

    /// Larger than the blocks that are checked for UTF-8 at a time.
    #[test]
    fn large_bodies_agree((format, document) in any_document(), edits in edits()) {
        let document = document.repeated(100_000);
        let mut text = document.text().into_bytes();
        prop_assert_eq!(actual(&text, format), (document.entries(), true));
        edits.iter().for_each(|edit| edit.apply(&mut text));
        agree(&text, format)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn errors_are_short_and_printable_whatever_the_bytes(format in both_formats(), body in any_bytes()) {
        let parse = entries(&body, format).find_map(Result::err);
        let strict = strict(&body, format).find_map(Result::err);
        let said = [
            parse.map(|error| (error.to_string(), error.excerpt().to_owned(), error.offset())),
            strict.map(|error| (error.to_string(), error.excerpt().to_owned(), error.offset())),
        ];
        for (message, excerpt, offset) in said.into_iter().flatten() {
            prop_assert!(!message.contains(|c: char| c.is_control()), "{:?}", message);
            prop_assert!(offset <= body.len());
            // A byte may take as much as `\u{7f}`, and an ellipsis may follow.
            prop_assert!(excerpt.chars().count() <= 32 * 6 + 1);
        }
    }

    #[test]
    fn the_reference_agrees_on_near_misses(format in both_formats(), text in near_misses()) {
        agree(&text, format)?;
    }

    #[test]
    fn the_reference_agrees_on_soup(format in both_formats(), text in soup()) {
        agree(&text, format)?;
    }
}

/// Of a body that was cut, whole lines read as they did. OpenMetrics finds out that it was cut. 0.0.4 cannot: the last line
/// is to be trusted only where it has its newline, on which the strict level insists.
fn cut_shows(format: Format, document: &Document, prefix: &[u8]) -> Result<(), TestCaseError> {
    let (mut end, mut whole) = (0, Vec::new());
    for (text, entry) in &document.lines {
        end += text.len();
        if end > prefix.len() || !text.ends_with('\n') {
            break;
        }
        whole.extend(entry.clone());
    }
    let (read, good) = actual(prefix, format);
    match format {
        Format::OpenMetrics => {
            let complete = prefix.ends_with(b"\n# EOF") || prefix.ends_with(b"# EOF\n") || prefix == b"# EOF";
            prop_assert_eq!(good, complete);
            whole.extend((complete && !whole.contains(&Entry::Eof)).then_some(Entry::Eof));
            prop_assert_eq!(read, whole);
        }
        Format::Prometheus => {
            prop_assert_eq!(&read[..whole.len()], &whole);
            prop_assert!(read.len() <= whole.len() + 1);
            let last_line = prefix.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
            if !last_line.trim_ascii().is_empty() {
                prop_assert!(strict(prefix, format).any(|entry| entry.is_err()));
            }
        }
    }
    Ok(())
}
