//! Samples pushed to a consumer, with no list of labels in between.

use alloc::string::String;

use crate::entries::Lines;
use crate::entry::{Entry, Sample};
use crate::error::ParseError;
use crate::fast::{self, TakeLabels};
use crate::format::Format;
use crate::labels::unescape_into;
use crate::window::{Job, Window};

/// Takes samples as they are read: first the labels, one by one and in the order of the text, then the sample's name
/// and value, which complete it.
///
/// Names and values come unescaped, names are never empty, and no label name comes twice within a sample. Labels are
/// handed over before the rest of their line is known to be good. When it is not, or has to be read in another way,
/// [`abandon`](Self::abandon) takes them back, so after any call to [`samples`] a sink holds whole samples only.
///
/// ```
/// /// One line a sample: `hits page=/about 4`.
/// #[derive(Default)]
/// struct Table {
///     text: String,
///     labels: String,
/// }
///
/// impl prom_parse::SampleSink for Table {
///     fn label(&mut self, name: &str, value: &str) {
///         self.labels += &format!(" {name}={value}");
///     }
///
///     fn sample(&mut self, name: &str, value: f64) {
///         self.text += &format!("{name}{} {value}\n", self.labels);
///         self.labels.clear();
///     }
///
///     fn abandon(&mut self) {
///         self.labels.clear();
///     }
/// }
///
/// let mut table = Table::default();
/// let body = b"hits{page=\"/\"} 3\nhits{page=\"/about\"} 4\n";
/// assert_eq!(prom_parse::samples(body, prom_parse::Format::Prometheus, &mut table)?, 2);
/// assert_eq!(table.text, "hits page=/ 3\nhits page=/about 4\n");
/// # Ok::<(), prom_parse::ParseError>(())
/// ```
pub trait SampleSink {
    /// A label of the sample that comes next.
    fn label(&mut self, name: &str, value: &str);

    /// The sample that the labels since the last one belong to.
    fn sample(&mut self, name: &str, value: f64);

    /// Forgets the labels since the last sample. They come again if their line turns out to be good all the same.
    fn abandon(&mut self);
}

/// Pushes every sample of a body into a sink and returns how many there were: the fastest way into columns.
///
/// Accepts and refuses exactly what [`entries`](crate::entries) does; timestamps, exemplars and metadata are checked and left
/// out.
///
/// # Errors
///
/// The first mistake in the body. The sink has by then been given the samples of the lines before it, which are to be
/// discarded: half an exposition is none.
pub fn samples<S: SampleSink + ?Sized>(
    body: &[u8],
    format: Format,
    sink: &mut S,
) -> Result<usize, ParseError> {
    let lines = Lines::new(body, format);
    lines.blocks.width.run(Push { lines, sink })
}

/// The push of a whole body, as a job for the sake of the instructions that come with wider windows.
struct Push<'a, 's, S: ?Sized> {
    lines: Lines<'a>,
    sink: &'s mut S,
}

impl<S: SampleSink + ?Sized> Job for Push<'_, '_, S> {
    type Output = Result<usize, ParseError>;

    #[inline(always)]
    fn run<W: Window>(self) -> Self::Output {
        let Self { mut lines, sink } = self;
        let (mut count, mut scratch) = (0, String::new());
        loop {
            if let Some((block, mut start)) = lines.blocks.block() {
                let mut labels = Labels { sink, scratch: &mut scratch };
                while let Some((entry, next)) =
                    fast::line::<false>(block, start, lines.format, &mut lines.names, &mut labels)
                {
                    start = next;
                    if let Entry::Sample(sample) = entry {
                        labels.sink.sample(sample.name, sample.value);
                        count += 1;
                    }
                }
                lines.blocks.go_to(start);
                sink.abandon();
            }
            match push_slowly(&mut lines, sink, &mut scratch)? {
                Some(samples) => count += samples,
                None => return Ok(count),
            }
        }
    }
}

/// Pushes the next entry, which holds a surprise or is in another block, and returns how many samples it was; `None` at the end.
#[cold]
#[inline(never)]
fn push_slowly<S: SampleSink + ?Sized>(
    lines: &mut Lines<'_>,
    sink: &mut S,
    scratch: &mut String,
) -> Result<Option<usize>, ParseError> {
    if lines.go_on() {
        return Ok(Some(0));
    }
    if !lines.blocks.is_read()
        && let Some((block, start)) = lines.blocks.block()
    {
        let mut labels = Labels { sink, scratch };
        if let Some((entry, next)) =
            fast::line::<true>(block, start, lines.format, &mut lines.names, &mut labels)
        {
            lines.blocks.go_to(next);
            let Entry::Sample(sample) = entry else { return Ok(Some(0)) };
            sink.sample(sample.name, sample.value);
            return Ok(Some(1));
        }
        sink.abandon();
    }
    match lines.next_by_grammar().transpose()? {
        Some(Entry::Sample(sample)) => {
            push(&sample, sink);
            Ok(Some(1))
        }
        entry => Ok(entry.map(|_| 0)),
    }
}

/// Hands labels on.
struct Labels<'s, S: ?Sized> {
    sink: &'s mut S,
    scratch: &'s mut String,
}

impl<'a, S: SampleSink + ?Sized> TakeLabels<'a> for Labels<'_, S> {
    #[inline(always)]
    fn label(&mut self, name: &'a str, value: &'a str) {
        self.sink.label(name, value);
    }

    #[cold]
    fn escaped_label(&mut self, name: &'a str, value: &'a str) {
        self.sink.label(name, unescape_into(self.scratch, value));
    }
}

fn push<S: SampleSink + ?Sized>(sample: &Sample<'_>, sink: &mut S) {
    for (name, value) in sample.labels() {
        sink.label(&name, &value);
    }
    sink.sample(&sample.name(), sample.value());
}
