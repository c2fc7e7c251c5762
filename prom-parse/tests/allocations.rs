//! What the parser allocates, counted.

#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;
use std::hint::black_box;

use prom_parse::{Entry, Format, SampleSink, entries, families, samples};

struct Counting;

thread_local! {
    /// How often this thread has allocated, what it holds in bytes (less than nothing where it gave back what another
    /// thread had taken), and the most that it held.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        HELD.set(HELD.get() + layout.size() as isize);
        PEAK.set(PEAK.get().max(HELD.get()));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as isize);
        // SAFETY: the caller keeps the contract of `dealloc`, and the memory came from the system's allocator.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often the work allocates, and how many bytes it holds at most.
fn cost(work: impl FnOnce()) -> (usize, isize) {
    let (count, held) = (COUNT.get(), HELD.get());
    PEAK.set(held);
    work();
    (COUNT.get() - count, PEAK.get() - held)
}

fn walk(body: &str, format: Format) {
    for entry in entries(body.as_bytes(), format) {
        let entry = entry.unwrap();
        let Entry::Sample(sample) = &entry else {
            black_box(&entry);
            continue;
        };
        black_box((sample.name(), sample.value(), sample.timestamp()));
        sample.labels().for_each(|label| drop(black_box(label)));
        if let Some(exemplar) = sample.exemplar() {
            exemplar.labels().for_each(|label| drop(black_box(label)));
            black_box((exemplar.value(), exemplar.timestamp()));
        }
    }
}

struct Sum(f64);

impl SampleSink for Sum {
    fn label(&mut self, name: &str, value: &str) {
        black_box((name, value));
    }

    fn sample(&mut self, _: &str, value: f64) {
        self.0 += value;
    }

    fn abandon(&mut self) {}
}

fn push(body: &str, format: Format) {
    let mut sum = Sum(0.0);
    samples(body.as_bytes(), format, &mut sum).unwrap();
    black_box(sum.0);
}

fn put_together(body: &str, format: Format) {
    families(body.as_bytes(), format).for_each(|family| drop(black_box(family.unwrap())));
}

fn prometheus(families: usize, value: &str) -> String {
    let mut body = String::new();
    for n in 0..families {
        writeln!(body, "# HELP a_{n}_total Things done, {value}.\n# TYPE a_{n}_total counter").unwrap();
        writeln!(body, "a_{n}_total{{method=\"GET\",path=\"{value}\",code=\"200\"}} 12.5 1700000000000")
            .unwrap();
        writeln!(body, "a_{n}_total 1e-7\n# a comment\n").unwrap();
        writeln!(body, "a:{n}:rate{{path=\"{value}\", code=\"200\",}} NaN").unwrap();
        // As the grammar alone reads it.
        writeln!(body, "  a_{n}_total {{ path = \"{value}\" , }} 7\n{{\"a.{n}\",b=\"\"}} NaN").unwrap();
        writeln!(body, "a_{n}{{long=\"{}\"}} 123456789012345678901234567890", "x".repeat(100)).unwrap();
    }
    body
}

fn openmetrics(families: usize, value: &str) -> String {
    let mut body = String::new();
    for n in 0..families {
        writeln!(body, "# HELP a_{n}_s Things done, {value}.\n# TYPE a_{n}_s counter\n# UNIT a_{n}_s s")
            .unwrap();
        writeln!(body, "a_{n}_s_total{{path=\"{value}\"}} 12.5 1700000000.5 # {{t=\"{value}\"}} 0.5 1.5")
            .unwrap();
        writeln!(body, "a_{n}_s_created{{path=\"{value}\"}} 12").unwrap();
    }
    body + "# EOF\n"
}

#[test]
fn no_entry_without_escapes_costs_an_allocation() {
    for (body, format) in
        [(prometheus(200, "/é"), Format::Prometheus), (openmetrics(200, "/é"), Format::OpenMetrics)]
    {
        assert_eq!(cost(|| walk(&body, format)), (0, 0));
        assert_eq!(cost(|| push(&body, format)), (0, 0));
    }
}

#[test]
fn labels_are_free_up_to_32() {
    let cost_of = |labels: usize| {
        let labels: String = (0..labels).map(|n| format!("label_{n}=\"{n}\",")).collect();
        let body = format!("a{{{labels}}} 1\n");
        cost(|| walk(&body, Format::Prometheus)).0
    };
    assert_eq!(cost_of(32), 0);
    assert_ne!(cost_of(33), 0, "then say so in the documentation");
}

#[test]
fn memory_does_not_grow_with_the_body() {
    let value = r#"C:\\temp \"x\""#;
    let small = [prometheus(10, value), openmetrics(10, value)];
    let large = [small[0].repeat(500), small[1].trim_end_matches("# EOF\n").repeat(500) + "# EOF\n"];
    for ((small, large), format) in small.iter().zip(&large).zip([Format::Prometheus, Format::OpenMetrics]) {
        for read in [walk, push, put_together] {
            let (count, most) = cost(|| read(small, format));
            assert!(count > 0, "escapes cost something");
            // Not quite the same: the last line is read another way.
            assert!(cost(|| read(large, format)).1 <= 2 * most);
        }
    }
}
