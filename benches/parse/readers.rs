//! The parsers that are compared, each behind the same signature.

use connector_core::{Column, ColumnType, Rows, Schema};
use prom_parse::{Entry, Format, SampleSink, entries, samples};

/// Lengths and ends of all names, label names and label values, and all values' bits, added up: proof that each was
/// found, at next to no cost.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Checksum(u64);

impl Checksum {
    fn label(&mut self, name: &str, value: &str) {
        self.text(name);
        self.text(value);
    }

    fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let ends = match bytes {
            [] => 0,
            [first, ..] => u64::from(*first) << 8 | u64::from(bytes[bytes.len() - 1]),
        };
        self.0 = self.0.wrapping_add((text.len() as u64) << 16 | ends);
    }

    fn value(&mut self, value: f64) {
        self.0 = self.0.wrapping_add(value.to_bits());
    }
}

/// A parser under comparison.
pub(crate) struct Reader {
    pub(crate) name: &'static str,
    /// Whether it puts samples together in its own way, so that its checksum cannot agree.
    pub(crate) regroups: bool,
    pub(crate) read: fn(&str, Format) -> Option<Checksum>,
}

pub(crate) fn all() -> Vec<Reader> {
    let reader = |name, read| Reader { name, regroups: false, read };
    let regrouping = |name, read| Reader { name, regroups: true, read };
    vec![
        reader("prom-parse, entries pulled", pulled),
        reader("prom-parse, samples pushed", pushed),
        regrouping("prom-parse, into columns", columns),
        regrouping("floor: memchr, line by line", floor),
        reader("rival: nom-openmetrics", nom_openmetrics),
        regrouping("rival: prom_text_format_parser", prom_text_format_parser),
        regrouping("rival: prometheus-parse", prometheus_parse),
    ]
}

fn pulled(body: &str, format: Format) -> Option<Checksum> {
    let mut sum = Checksum::default();
    for entry in entries(body.as_bytes(), format) {
        if let Entry::Sample(sample) = entry.ok()? {
            for (name, value) in sample.labels() {
                sum.label(&name, &value);
            }
            sum.text(&sample.name());
            sum.value(sample.value());
        }
    }
    Some(sum)
}

/// A sum that can go back to where the last sample was complete.
#[derive(Default)]
struct Pushed {
    kept: Checksum,
    sum: Checksum,
}

impl SampleSink for Pushed {
    #[inline]
    fn label(&mut self, name: &str, value: &str) {
        self.sum.label(name, value);
    }

    #[inline]
    fn sample(&mut self, name: &str, value: f64) {
        self.sum.text(name);
        self.sum.value(value);
        self.kept = self.sum;
    }

    fn abandon(&mut self) {
        self.sum = self.kept;
    }
}

fn pushed(body: &str, format: Format) -> Option<Checksum> {
    let mut sink = Pushed::default();
    samples(body.as_bytes(), format, &mut sink).ok()?;
    Some(sink.kept)
}

/// The columns of the connector's table.
struct Table(Rows);

impl SampleSink for Table {
    #[inline(always)]
    fn label(&mut self, name: &str, value: &str) {
        self.0.entry(3, name, value);
    }

    #[inline]
    fn sample(&mut self, name: &str, value: f64) {
        self.0.string(1, name).real(2, value).end_row();
    }

    fn abandon(&mut self) {
        self.0.abandon_row();
    }
}

thread_local! {
    /// Kept from scrape to scrape, as the connector keeps it.
    static TABLE: std::cell::RefCell<Table> = std::cell::RefCell::new(Table(Rows::new(&schema())));
}

fn schema() -> Schema {
    let columns = [
        Column::time("timestamp"),
        Column::key("name", ColumnType::String),
        Column::value("value", ColumnType::Real),
        Column::key("labels", ColumnType::Dynamic),
    ];
    Schema::new(columns).expect("four columns of different names are a schema")
}

fn columns(body: &str, format: Format) -> Option<Checksum> {
    TABLE.with_borrow_mut(|table| {
        table.0.clear();
        samples(body.as_bytes(), format, table).ok()?;
        Some(Checksum(table.0.len() as u64))
    })
}

fn floor(body: &str, _: Format) -> Option<Checksum> {
    Some(Checksum(memchr::memchr_iter(b'\n', body.as_bytes()).count() as u64))
}

fn nom_openmetrics(body: &str, format: Format) -> Option<Checksum> {
    let parsed = match format {
        Format::Prometheus => nom_openmetrics::parser::prometheus(body),
        Format::OpenMetrics => nom_openmetrics::parser::openmetrics(body),
    };
    let (_, families) = parsed.ok().filter(|(rest, _)| rest.is_empty())?;
    let mut sum = Checksum::default();
    for sample in families.iter().flat_map(|family| &family.samples) {
        for label in sample.labels() {
            sum.label(label.name, &label.value);
        }
        sum.text(sample.name());
        sum.value(sample.number());
    }
    Some(sum)
}

fn prom_text_format_parser(body: &str, _: Format) -> Option<Checksum> {
    let scrape = prom_text_format_parser::Scrape::parse(body).ok()?;
    let mut sum = Checksum::default();
    for sample in scrape.metrics.iter().flat_map(|metric| &metric.samples) {
        for label in sample.labels.iter() {
            sum.label(&label.key, &label.value);
        }
        sum.value(sample.value.value.as_f64());
    }
    Some(sum)
}

fn prometheus_parse(body: &str, _: Format) -> Option<Checksum> {
    let scrape = prometheus_parse::Scrape::parse(body.lines().map(|line| Ok(line.to_owned()))).ok()?;
    let mut sum = Checksum::default();
    for sample in &scrape.samples {
        for (name, value) in sample.labels.iter() {
            sum.label(name, value);
        }
        sum.text(&sample.metric);
    }
    Some(sum)
}
