//! What is written, read by a crate that shares no code with the one that writes.

use std::io::Cursor;

use parquet2::deserialize::{DefLevelsDecoder, HybridEncoded};
use parquet2::encoding::Encoding;
use parquet2::encoding::hybrid_rle::HybridRleDecoder;
use parquet2::encoding::plain_byte_array::BinaryIter;
use parquet2::metadata::ColumnChunkMetaData;
use parquet2::page::{DataPage, Page, split_buffer};
use parquet2::read::{decompress, get_page_iterator, read_metadata};
use parquet2::schema::types::{PrimitiveLogicalType, TimeUnit as Unit};

use super::*;

/// A row with each kind of value, and with nulls in turn.
fn row(i: i64) -> [Cell; 5] {
    [
        if i % 5 == 0 { Cell::Null } else { Cell::Text(format!("é{}", i % 11)) },
        Cell::Timestamp(1_777_716_000_000 + i),
        if i % 3 == 0 { Cell::Null } else { Cell::Real(i as f64 / 2.0) },
        if i % 2 == 0 { Cell::Null } else { Cell::Timestamp(-i) },
        Cell::Json(format!(r#"{{"i":"{i}"}}"#)),
    ]
}

#[test]
fn a_stranger_reads_what_was_written() {
    let schema = Schema::new([
        Column::key("name", ColumnType::String),
        Column::time("at"),
        Column::value("value", ColumnType::Real),
        Column::value("seen", ColumnType::Timestamp),
        Column::key("labels", ColumnType::Dynamic),
    ])
    .unwrap();
    let rows = i64::try_from(GROUP).unwrap() + 7;
    let mut file = Vec::new();
    let mut writer = ParquetWriter::new(&mut file, &schema).unwrap();
    (0..rows).for_each(|i| writer.write(&row(i)).unwrap());
    writer.finish().unwrap();

    let metadata = read_metadata(&mut Cursor::new(&file)).unwrap();
    assert_eq!(metadata.row_groups.len(), 2);
    let time = PrimitiveLogicalType::Timestamp { unit: Unit::Milliseconds, is_adjusted_to_utc: true };
    let kinds = [
        ("name", Some(PrimitiveLogicalType::String)),
        ("at", Some(time)),
        ("value", None),
        ("seen", Some(time)),
        ("labels", Some(PrimitiveLogicalType::String)),
    ];
    for (column, (name, kind)) in kinds.into_iter().enumerate() {
        let descriptor = &metadata.schema_descr.columns()[column];
        assert_eq!(descriptor.path_in_schema, [name]);
        assert_eq!(descriptor.descriptor.primitive_type.logical_type, kind, "{name}");
        let chunks = metadata.row_groups.iter().map(|group| &group.columns()[column]);
        let cells: Vec<Cell> = chunks.flat_map(|chunk| read(&file, chunk, &row(1)[column])).collect();
        let wanted: Vec<Cell> = (0..rows).map(|i| row(i)[column].clone()).collect();
        assert!(cells == wanted, "{name}");
    }
}

/// The values of a column within a group of rows, which are such as `like`, or null.
fn read(file: &[u8], chunk: &ColumnChunkMetaData, like: &Cell) -> Vec<Cell> {
    let pages = get_page_iterator(chunk, Cursor::new(file), None, Vec::new(), file.len()).unwrap();
    let (mut dictionary, mut cells) = (Vec::new(), Vec::new());
    for page in pages {
        match decompress(page.unwrap(), &mut Vec::new()).unwrap() {
            Page::Dict(page) => dictionary = plain(&page.buffer, like),
            Page::Data(page) => cells.extend(values(&page, &dictionary, like)),
        }
    }
    cells
}

fn values(page: &DataPage, dictionary: &[Cell], like: &Cell) -> Vec<Cell> {
    let (_, _, bytes) = split_buffer(page).unwrap();
    let values = match page.encoding() {
        Encoding::Plain => plain(bytes, like),
        Encoding::RleDictionary => {
            let places = HybridRleDecoder::try_new(&bytes[1..], bytes[0].into(), page.num_values()).unwrap();
            places.map_while(|place| dictionary.get(place.unwrap() as usize).cloned()).collect()
        }
        other => panic!("{other:?}"),
    };
    if page.descriptor.max_def_level == 0 {
        return values;
    }
    let DefLevelsDecoder::Bitmap(runs) = DefLevelsDecoder::try_new(page).unwrap() else { panic!("nested") };
    let is_there = runs.flat_map(|run| match run.unwrap() {
        HybridEncoded::Bitmap(bits, length) => (0..length).map(|i| bits[i / 8] >> (i % 8) & 1 == 1).collect(),
        HybridEncoded::Repeated(value, length) => vec![value; length],
    });
    let mut values = values.into_iter();
    is_there.map(|is_there| if is_there { values.next().unwrap() } else { Cell::Null }).collect()
}

/// Values as they follow each other.
fn plain(bytes: &[u8], like: &Cell) -> Vec<Cell> {
    let words = || bytes.as_chunks::<8>().0.iter();
    let texts =
        || BinaryIter::new(bytes, None).map(|text| String::from_utf8(text.unwrap().to_vec()).unwrap());
    match like {
        Cell::Timestamp(_) => words().map(|word| Cell::Timestamp(i64::from_le_bytes(*word))).collect(),
        Cell::Real(_) => words().map(|word| Cell::Real(f64::from_le_bytes(*word))).collect(),
        Cell::Text(_) => texts().map(Cell::Text).collect(),
        Cell::Json(_) => texts().map(Cell::Json).collect(),
        Cell::Null => panic!("a row without nulls tells the kind"),
    }
}
