//! `Serialize` for what has no fields to derive it from.

use alloc::borrow::Cow;
use alloc::string::String;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};

use crate::entry::{Exemplar, Sample};
use crate::error::{ParseError, Place};
use crate::labels::Labels;
use crate::strict::StrictError;

/// As a map in the order of the text.
impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.clone())
    }
}

impl Serialize for Sample<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Sample", 5)?;
        fields.serialize_field("name", &self.name())?;
        fields.serialize_field("labels", &self.labels())?;
        fields.serialize_field("value", &self.value())?;
        fields.serialize_field("timestamp", &self.timestamp())?;
        fields.serialize_field("exemplar", &self.exemplar())?;
        fields.end()
    }
}

impl Serialize for Exemplar<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Exemplar", 3)?;
        fields.serialize_field("labels", &self.labels())?;
        fields.serialize_field("value", &self.value())?;
        fields.serialize_field("timestamp", &self.timestamp())?;
        fields.end()
    }
}

impl Serialize for ParseError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("ParseError", 5)?;
        place(&mut fields, self.place())?;
        fields.serialize_field("expected", self.expected())?;
        fields.serialize_field("found", self.excerpt())?;
        fields.end()
    }
}

impl Serialize for StrictError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("StrictError", 6)?;
        fields.serialize_field("rule", &self.rule())?;
        place(&mut fields, self.place())?;
        fields.serialize_field("expected", self.expected())?;
        fields.serialize_field("found", self.excerpt())?;
        fields.end()
    }
}

fn place<F: serde::ser::SerializeStruct>(fields: &mut F, place: &Place) -> Result<(), F::Error> {
    fields.serialize_field("line", &place.line)?;
    fields.serialize_field("column", &place.column)?;
    fields.serialize_field("offset", &place.offset)
}

/// The labels of a metric, as those of a sample.
pub(crate) fn map<S: Serializer>(
    labels: &[(Cow<'_, str>, Cow<'_, str>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(labels.iter().map(|(name, value)| (name, value)))
}

/// The text of a comment, which may be no text.
pub(crate) fn lossy<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json, to_value};

    use crate::{Format, entries, families, strict};

    #[test]
    fn entries_become_json() {
        let body = b"# HELP a x\\ny\n# TYPE a untyped\n#\xff!\na{b=\"\\n\",c=\"d\"} 1.5 7\n";
        let read: Vec<Value> =
            entries(body, Format::Prometheus).map(|entry| to_value(entry.unwrap()).unwrap()).collect();
        let sample = json!({
            "name": "a", "labels": {"b": "\n", "c": "d"}, "value": 1.5, "timestamp": {"millis": 7}, "exemplar": null,
        });
        assert_eq!(
            read,
            [
                json!({"help": {"name": "a", "text": "x\ny"}}),
                json!({"type": {"name": "a", "kind": "unknown"}}),
                json!({"comment": "\u{fffd}!"}),
                json!({"sample": sample}),
            ]
        );
        let body = b"# UNIT a_s s\na_s 1 2.5 # {t=\"x\"} 3 4\n# EOF\n";
        let read: Vec<Value> =
            entries(body, Format::OpenMetrics).map(|entry| to_value(entry.unwrap()).unwrap()).collect();
        assert_eq!(read[0], json!({"unit": {"name": "a_s", "unit": "s"}}));
        assert_eq!(read[1]["sample"]["timestamp"], json!({"seconds": 2.5}));
        assert_eq!(
            read[1]["sample"]["exemplar"],
            json!({"labels": {"t": "x"}, "value": 3.0, "timestamp": 4.0})
        );
        assert_eq!(read[2], json!("eof"));
    }

    #[test]
    fn families_become_json() {
        let body = b"# TYPE h histogram\nh_bucket{le=\"+Inf\",a=\"b\"} 3\nh_sum{a=\"b\"} 4\n";
        let family = families(body, Format::Prometheus).next().unwrap().unwrap();
        let histogram = json!({
            "buckets": [{"upper_bound": null, "count": 3.0, "exemplar": null}],
            "count": null, "sum": 4.0, "created": null,
        });
        assert_eq!(
            to_value(family).unwrap(),
            json!({
                "name": "h", "kind": "histogram", "help": null, "unit": null, "others": [],
                "metrics": [{"labels": {"a": "b"}, "timestamp": null, "value": {"histogram": histogram}}],
            })
        );
    }

    #[test]
    fn errors_become_json() {
        let error = entries(b"a\nb {", Format::Prometheus).next().unwrap().unwrap_err();
        assert_eq!(
            to_value(error).unwrap(),
            json!({"line": 1, "column": 2, "offset": 1, "expected": "a value", "found": ""})
        );
        let body = b"# TYPE a counter\na_total -1\n# EOF\n";
        let error = strict(body, Format::OpenMetrics).find_map(Result::err).unwrap();
        assert_eq!(
            to_value(error).unwrap(),
            json!({
                "rule": "not_negative", "line": 2, "column": 1, "offset": 17,
                "expected": "a value of zero or more", "found": "a_total -1",
            })
        );
    }
}
