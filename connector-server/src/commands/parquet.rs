//! Rows as Apache Parquet.

use std::io::Write;
use std::sync::Arc;

use connector_core::{Column, ColumnType, Role, Schema};
use connector_runtime::store::Cell;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{Type, TypePtr};

/// Rows in a group, which are held in memory until it is full.
const GROUP: usize = 100_000;

/// Writes rows in groups. Times are timestamps in UTC, maps are JSON text.
pub(super) struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Values>,
    rows: usize,
}

/// The values of a column that are not null, and which those are.
struct Values {
    kind: ColumnType,
    times: Vec<i64>,
    reals: Vec<f64>,
    texts: Vec<ByteArray>,
    /// 1 where there is a value, 0 for null.
    levels: Vec<i16>,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new(out: W, schema: &Schema) -> Result<Self, ParquetError> {
        let fields = schema.columns().iter().map(field).collect::<Result<_, _>>()?;
        let root = Type::group_type_builder("schema").with_fields(fields).build()?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_created_by(concat!("connectord ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let columns = schema.columns().iter().map(|column| Values::new(column.kind())).collect();
        let file = SerializedFileWriter::new(out, Arc::new(root), Arc::new(properties))?;
        Ok(Self { file, columns, rows: 0 })
    }

    pub(super) fn write(&mut self, cells: &[Cell]) -> Result<(), ParquetError> {
        self.columns.iter_mut().zip(cells).for_each(|(values, cell)| values.push(cell));
        self.rows += 1;
        if self.rows == GROUP { self.end_group() } else { Ok(()) }
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        self.columns.iter_mut().try_for_each(|values| values.write_to(&mut group))?;
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), ParquetError> {
        if self.rows > 0 {
            self.end_group()?;
        }
        self.file.close().map(drop)
    }
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match column.kind() {
        ColumnType::Timestamp => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        ColumnType::Real => (Physical::DOUBLE, None),
        _ => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let repetition = if column.role() == Role::Time { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    Type::primitive_type_builder(column.name(), physical)
        .with_logical_type(logical)
        .with_repetition(repetition)
        .build()
        .map(Arc::new)
}

impl Values {
    fn new(kind: ColumnType) -> Self {
        Self { kind, times: Vec::new(), reals: Vec::new(), texts: Vec::new(), levels: Vec::new() }
    }

    fn push(&mut self, cell: &Cell) {
        match cell {
            Cell::Null => {}
            Cell::Timestamp(millis) => self.times.push(*millis),
            Cell::Real(real) => self.reals.push(*real),
            Cell::Text(text) | Cell::Json(text) => self.texts.push(text.as_bytes().to_vec().into()),
        }
        self.levels.push(i16::from(*cell != Cell::Null));
    }

    fn write_to<W: Write + Send>(
        &mut self,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), ParquetError> {
        if let Some(mut column) = group.next_column()? {
            let levels = Some(&self.levels[..]);
            match self.kind {
                ColumnType::Timestamp => {
                    column.typed::<Int64Type>().write_batch(&self.times, levels, None)?
                }
                ColumnType::Real => column.typed::<DoubleType>().write_batch(&self.reals, levels, None)?,
                _ => column.typed::<ByteArrayType>().write_batch(&self.texts, levels, None)?,
            };
            column.close()?;
        }
        self.times.clear();
        self.reals.clear();
        self.texts.clear();
        self.levels.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
