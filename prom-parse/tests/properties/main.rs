//! Properties that hold for any text: what is written reads back, a plain parser agrees, a cut body shows.

#![allow(clippy::unwrap_used)]

mod document;
mod families;
mod reference;

use prom_parse::{Format, SampleSink, samples, strict};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use document::{Document, document};
use reference::{Bits, Entry, actual};

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

/// Both ways through a body read what the reference reads, and stop where it stops.
fn agree(body: &[u8], format: Format) -> Result<(), TestCaseError> {
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

/// Text out of the pieces that lines are made of, in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "a",
        "b_total",
        "{",
        "}",
        "\"",
        "\"x\"",
        "\"a.b\"",
        "=",
        ",",
        "\\",
        "\\n",
        "\\\"",
        "\n",
        "\n",
        "\n",
        " ",
        " ",
        "\t",
        "#",
        "# ",
        " # ",
        "# HELP ",
        "# TYPE ",
        "# UNIT ",
        "# EOF",
        "# EOF\n",
        "gauge",
        "unknown",
        "untyped",
        "1",
        "-1",
        ".5",
        "1e400",
        "1e-5",
        "NaN",
        "+Inf",
        "-",
        "1_0",
        "__name__",
        "le=\"1\"",
        "a{b=\"c\"} 1\n",
        "é",
        ":",
        "\r",
        "\0",
        "123456789012345678901234567890",
    ]);
    vec(
        prop_oneof![30 => piece.prop_map(|piece| piece.as_bytes().to_vec()), 1 => vec(any::<u8>(), 1..3)],
        0..40,
    )
    .prop_map(|pieces| pieces.concat())
}

#[derive(Clone, Debug)]
enum Edit {
    Insert(Index, &'static [u8]),
    Replace(Index, &'static [u8]),
    Remove(Index),
    Copy(Index, Index),
}

impl Edit {
    fn apply(&self, text: &mut Vec<u8>) {
        let size = text.len();
        match self {
            Self::Insert(at, what) => {
                drop(text.splice(at.index(size + 1)..at.index(size + 1), what.to_vec()));
            }
            Self::Replace(at, what) if size > 0 => {
                drop(text.splice(at.index(size)..=at.index(size), what.to_vec()));
            }
            Self::Remove(at) if size > 0 => drop(text.remove(at.index(size))),
            Self::Copy(from, to) if size > 0 => {
                let from = from.index(size);
                let piece = text[from..size.min(from + 30)].to_vec();
                drop(text.splice(to.index(size)..to.index(size), piece));
            }
            _ => (),
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let piece = || {
        select(vec![
            &b"\""[..],
            b"\\",
            b"\n",
            b" ",
            b"\t",
            b"{",
            b"}",
            b",",
            b"=",
            b"#",
            b"# ",
            b"0",
            b".",
            b"e",
            b"-",
            b"_",
            b":",
            b"\xff",
            b"\xc3",
            "é".as_bytes(),
            b"\0",
            b"\r",
            b"# EOF\n",
            b"__name__",
            b"\\\"",
        ])
    };
    let index = any::<Index>;
    let edit = prop_oneof![
        (index(), piece()).prop_map(|(at, what)| Edit::Insert(at, what)),
        (index(), piece()).prop_map(|(at, what)| Edit::Replace(at, what)),
        index().prop_map(Edit::Remove),
        (index(), index()).prop_map(|(from, to)| Edit::Copy(from, to)),
    ];
    vec(edit, 1..4)
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
    fn a_cut_body_shows((format, document) in any_document(), cut in any::<Index>()) {
        let text = document.text();
        cut_shows(format, &document, &text.as_bytes()[..cut.index(text.len() + 1)])?;
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
