//! Samples pushed to a consumer, with no list of labels in between.

use crate::entries::entries;
use crate::entry::Entry;
use crate::error::ParseError;
use crate::format::Format;

/// Takes samples as they are read: first the labels, one by one and in the order of the text, then the sample's name
/// and value, which complete it.
///
/// Names and values come unescaped, names are never empty, and no label name comes twice within a sample. When a body
/// turns out to be malformed, [`samples`] returns the error, and the labels of the line it stands on may have been
/// handed over with no `sample` after them: whoever keeps anything keeps all of a body or nothing.
///
/// ```
/// #[derive(Default)]
/// struct Total {
///     labels: usize,
///     sum: f64,
/// }
///
/// impl prom_parse::SampleSink for Total {
///     fn label(&mut self, _name: &str, _value: &str) {
///         self.labels += 1;
///     }
///
///     fn sample(&mut self, _name: &str, value: f64) {
///         self.sum += value;
///     }
/// }
///
/// let mut total = Total::default();
/// let body = b"hits{page=\"/\"} 3\nhits{page=\"/about\"} 4\n";
/// assert_eq!(prom_parse::samples(body, prom_parse::Format::Prometheus, &mut total)?, 2);
/// assert_eq!((total.labels, total.sum), (2, 7.0));
/// # Ok::<(), prom_parse::ParseError>(())
/// ```
pub trait SampleSink {
    /// A label of the sample that comes next.
    fn label(&mut self, name: &str, value: &str);

    /// The sample that the labels since the last one belong to.
    fn sample(&mut self, name: &str, value: f64);
}

/// Pushes every sample of a body into a sink and returns how many there were: the fastest way into columns.
///
/// Accepts and refuses exactly what [`entries`] does; timestamps, exemplars and metadata are checked and left
/// out.
///
/// # Errors
///
/// The first mistake in the body. What the sink was given until then is to be discarded.
pub fn samples<S: SampleSink + ?Sized>(
    body: &[u8],
    format: Format,
    sink: &mut S,
) -> Result<usize, ParseError> {
    let mut count = 0;
    for entry in entries(body, format) {
        if let Entry::Sample(sample) = entry? {
            for (name, value) in sample.labels() {
                sink.label(&name, &value);
            }
            sink.sample(&sample.name(), sample.value());
            count += 1;
        }
    }
    Ok(count)
}
