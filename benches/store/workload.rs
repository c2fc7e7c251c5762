//! Ticks as a `prometheus` connector lands them: names of some 32 bytes, four labels, half of the values counts.

use std::sync::Arc;

use connector_core::{Column, ColumnData, ColumnType, Rows, Schema};

/// Where the columns stand.
const NAME: usize = 1;
pub(crate) const VALUE: usize = 2;
const LABELS: usize = 3;

const SUBSYSTEMS: [&str; 8] =
    ["cpu", "disk", "filesystem", "memory", "netstat", "network", "systemd", "vmstat"];
const NOUNS: [&str; 8] = [
    "receive_packets",
    "io_time_weighted",
    "available_inodes",
    "transmit_errors",
    "guest_mode",
    "unit_state",
    "major_faults",
    "reclaimable",
];

/// The table of the `prometheus` connector.
pub(crate) fn schema() -> Arc<Schema> {
    let columns = [
        Column::time("timestamp"),
        Column::key("name", ColumnType::String),
        Column::value("value", ColumnType::Real),
        Column::key("labels", ColumnType::Dynamic),
    ];
    Arc::new(Schema::new(columns).expect("four distinct identifiers, one of them the time"))
}

/// One scrape of `target`: the same series each time, in families of five, and other values for another `tick`.
pub(crate) fn scrape(target: usize, series: usize, tick: usize) -> Rows {
    let series: Vec<_> = (0..series).map(Series::nth).collect();
    scrape_of(target, &series, tick)
}

/// A series of a target.
#[derive(Clone, Copy)]
pub(crate) struct Series {
    pub(crate) n: usize,
    /// How often its pod has been replaced: another label, the same name.
    pub(crate) pod: usize,
}

impl Series {
    /// The n-th one, of the first pod.
    pub(crate) fn nth(n: usize) -> Self {
        Self { n, pod: 0 }
    }
}

/// One scrape of `target` with these of its series.
pub(crate) fn scrape_of(target: usize, series: &[Series], tick: usize) -> Rows {
    let mut rows = Rows::new(&schema());
    for &Series { n, pod } in series {
        let family = n / 5;
        let name =
            format!("node_{}_{}_{family}_total", SUBSYSTEMS[family % 8], NOUNS[(family / 8 + target) % 8]);
        let noise = mix((target as u64) << 40 | (n as u64) << 20 | tick as u64);
        let pod = mix((target as u64) | (pod as u64) << 32) as u32 >> 8;
        let value = if n.is_multiple_of(2) { (noise % 1_000_000) as f64 } else { noise as f64 / 7e14 };
        rows.string(NAME, &name)
            .real(VALUE, value)
            .entry(LABELS, "device", &format!("nvme{}n1", n % 5))
            .entry(LABELS, "mountpoint", &format!("/var/lib/containers/{:08x}", mix(n as u64) as u32))
            .entry(LABELS, "mode", NOUNS[n % 8])
            .entry(LABELS, "pod", &format!("backend-{target}-{pod:06x}"))
            .end_row();
    }
    rows
}

/// The same as a row at a time: name, value, labels as JSON.
pub(crate) fn as_tuples(rows: &Rows) -> Vec<(String, Option<f64>, String)> {
    let [_, ColumnData::String(names), ColumnData::Real(values), ColumnData::Dynamic(labels)] =
        rows.columns()
    else {
        unreachable!("the columns of the schema above")
    };
    let tuple = |row| {
        let mut json = String::new();
        labels.write_json(row, &mut json);
        (names.get(row).unwrap_or_default().to_owned(), values.get(row), json)
    };
    (0..rows.len()).map(tuple).collect()
}

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) ^ (n >> 33)
}
