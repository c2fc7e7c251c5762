//! Rows as JSON: `{"rows":[{…},{…}` and so on, for whoever streams them to end.

use connector_runtime::model::{Millis, format_millis};
use connector_runtime::store::Cell;

/// Writes rows as JSON objects into a buffer that is taken away from time to time.
pub(crate) struct RowWriter {
    /// `"name":` for each column.
    keys: Vec<String>,
    buffer: Vec<u8>,
    first: bool,
    /// The time written last: the rows of one tick all have the same.
    time: (Millis, String),
}

impl RowWriter {
    /// Begins with `{"rows":[`.
    pub(crate) fn new(columns: &[impl AsRef<str>]) -> Self {
        let keys = columns.iter().map(|name| format!("{}:", quoted(name.as_ref()))).collect();
        Self { keys, buffer: br#"{"rows":["#.to_vec(), first: true, time: (0, format_millis(0)) }
    }

    /// Adds one row, with a cell for each column.
    pub(crate) fn row(&mut self, cells: &[Cell]) {
        if !std::mem::replace(&mut self.first, false) {
            self.buffer.push(b',');
        }
        self.buffer.push(b'{');
        for (i, (key, cell)) in self.keys.iter().zip(cells).enumerate() {
            if i > 0 {
                self.buffer.push(b',');
            }
            self.buffer.extend_from_slice(key.as_bytes());
            match cell {
                Cell::Null => self.buffer.extend_from_slice(b"null"),
                Cell::Timestamp(millis) => {
                    if self.time.0 != *millis {
                        self.time = (*millis, format_millis(*millis));
                    }
                    self.buffer.push(b'"');
                    self.buffer.extend_from_slice(self.time.1.as_bytes());
                    self.buffer.push(b'"');
                }
                Cell::Text(text) => write_text(&mut self.buffer, text),
                Cell::Real(value) => write_real(&mut self.buffer, *value),
                Cell::Json(json) => self.buffer.extend_from_slice(json.as_bytes()),
            }
        }
        self.buffer.push(b'}');
    }

    /// Takes away what was written since the last time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let next = Vec::with_capacity(self.buffer.len());
        std::mem::replace(&mut self.buffer, next)
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write_text(buffer: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(buffer, text).expect("text is written to memory as JSON without fail");
}

fn write_real(buffer: &mut Vec<u8>, value: f64) {
    serde_json::to_writer(buffer, &value).expect("a number is written to memory as JSON without fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_json_whatever_they_hold() {
        let mut writer = RowWriter::new(&["timestamp", "name", "value", "labels"]);
        writer.row(&[
            Cell::Timestamp(1_777_716_000_000),
            Cell::Text("a\"\u{1}é\\".to_owned()),
            Cell::Real(1234.0),
            Cell::Json(r#"{"a":"b"}"#.to_owned()),
        ]);
        let mut text = writer.take();
        writer.row(&[
            Cell::Timestamp(1_777_716_000_250),
            Cell::Null,
            Cell::Real(1e300),
            Cell::Json("{}".to_owned()),
        ]);
        text.extend(writer.take());
        assert!(writer.take().is_empty());
        text.extend_from_slice(b"]}");
        let read: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"rows": [
                {"timestamp": "2026-05-02T10:00:00Z", "name": "a\"\u{1}é\\", "value": 1234.0, "labels": {"a": "b"}},
                {"timestamp": "2026-05-02T10:00:00.250Z", "name": null, "value": 1e300, "labels": {}},
            ]})
        );
    }
}
