//! Random text that is no exposition, or hardly.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Bytes that begin like a line, so that an error may stand anywhere in what follows.
pub(crate) fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let start = select(vec!["", "a", "a{", "a{b=\"", "a 1 ", "# TYPE ", "# HELP a ", "a 1 # {", "a 1\n"]);
    let rest = prop_oneof![
        vec(any::<u8>(), 0..80),
        vec(any::<char>(), 0..40).prop_map(|text| { text.into_iter().collect::<String>().into_bytes() })
    ];
    (start, rest).prop_map(|(start, rest)| [start.as_bytes(), &rest].concat())
}

/// Text out of the pieces that lines are made of, in any order.
pub(crate) fn soup() -> impl Strategy<Value = Vec<u8>> {
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

/// Lines in which each part is right, or nearly.
pub(crate) fn near_misses() -> impl Strategy<Value = Vec<u8>> {
    let parts = |right: &'static [&str], wrong: &'static [&str]| prop_oneof![9 => select(right.to_vec()), 1 => select(wrong.to_vec())];
    let name = || {
        parts(
            &["a", "b_total", "some_quite_long_metric_name_total", "a:b:rate5m"],
            &["", "1a", ":a", "a:", "a::1", "a-b", "é", "\"a\"", "a "],
        )
    };
    let label = parts(
        &["b", "c", "d", "le", "a_label_name"],
        &["", "__name__", "1b", "b:c", "\"b\"", "\"\"", "\"é\"", " b"],
    );
    let equals = parts(&["="], &["", " =", "= ", ":", "=="]);
    let value = parts(
        &[
            "\"\"",
            "\"x\"",
            "\"\\n\"",
            "\"/a/path/of/more/than/sixty-four/bytes/so/that/it/goes/beyond/one/window\"",
        ],
        &["", "x", "\"", "\"x", "\"\\\"", "\"\\d\"", "\"\n\"", "\"\t\"", "\"\0\"", "\"é\""],
    );
    let comma = parts(&[",", ",", ", "], &["", " ", ",  ", " ,", ",,", "\"y\",", "}"]);
    let labels = vec((label, equals, value, comma), 0..4)
        .prop_map(|labels| labels.into_iter().map(|(a, b, c, d)| [a, b, c, d].concat()).collect::<String>())
        .boxed();
    let number = || {
        parts(
            &["1", "-2.5", "1e5", "NaN", "123456789012"],
            &["", "x", "1_0", "1e400", "+Inf", "-0", "0x1", "- 1"],
        )
    };
    let gap = || parts(&[" "], &["", "  ", "\t", " #", " # "]);
    let time = (parts(&["", " "], &["  ", "\t", " #", " # "]), number())
        .prop_map(|(gap, time)| if gap.is_empty() { String::new() } else { format!("{gap}{time}") })
        .boxed();
    let open = parts(&["{"], &["", " {", "{{", "{ ", "{\"x\",", "{\"x\" "]);
    let sample = (name(), open, labels.clone(), gap(), number(), time.clone()).prop_map(
        |(name, open, labels, gap, value, time)| format!("{name}{open}{labels}}}{gap}{value}{time}\n"),
    );
    let open = parts(&[" # {"], &[" #{", "# {", " # ", " #  {"]);
    let exemplar = (name(), number(), open, labels, gap(), number(), time).prop_map(
        |(name, value, open, labels, gap, number, time)| {
            format!("{name} {value}{open}{labels}}}{gap}{number}{time}\n")
        },
    );
    let keyword = parts(&["# HELP", "# TYPE", "# UNIT"], &["#HELP", "#  TYPE", "# help", "#", "# EOF"]);
    let word =
        parts(&["gauge", "counter", "total"], &["", "gauge ", "untyped", "unknown", "info", "\\n", "\0"]);
    let metadata = (keyword, gap(), name(), gap(), word)
        .prop_map(|(keyword, gap, name, space, word)| format!("{keyword}{gap}{name}{space}{word}\n"));
    let newlines = select(vec!["\n", "\n\n"]).prop_map(str::to_owned);
    (
        vec(prop_oneof![6 => sample, 1 => exemplar, 2 => metadata, 1 => newlines], 1..5),
        select(vec!["", "# EOF", "# EOF\n"]),
    )
        .prop_map(|(lines, end)| (lines.concat() + end).into_bytes())
}

#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Insert(Index, &'static [u8]),
    Replace(Index, &'static [u8]),
    Remove(Index),
    Copy(Index, Index),
}

impl Edit {
    pub(crate) fn apply(&self, text: &mut Vec<u8>) {
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

pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
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
