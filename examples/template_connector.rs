//! A whole connector of one's own, registered and ticking: copy it and change what it reads.
//!
//! ```text
//! cargo run --release --example template_connector
//! ```

use std::sync::Arc;

use connector_core::{Column, ColumnType, ConfigError, Connector, Registry, Rows, Schema, Tick, TickError};
use connector_runtime::memory::MemoryStore;
use connector_runtime::model::ConnectorSpec;
use connector_runtime::runner::{Runner, RunnerOptions};
use connector_runtime::secrets::SecretSources;
use connector_runtime::store::{RowQuery, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Reads the sizes of the files in a folder.
struct FileSizes;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileSizesConfig {
    /// The folder, by absolute path.
    folder: String,
}

impl Connector for FileSizes {
    const TYPE_ID: &'static str = "file_sizes";
    type Config = FileSizesConfig;

    fn config_schema(&self) -> serde_json::Value {
        schemars::schema_for!(FileSizesConfig).to_value()
    }

    fn schema(&self) -> Schema {
        Schema::new([
            Column::time("timestamp"),
            Column::key("file", ColumnType::String),
            Column::value("bytes", ColumnType::Real),
        ])
        .expect("three distinct identifiers, one of them the time")
    }

    fn validate(&self, config: &FileSizesConfig) -> Result<(), ConfigError> {
        if config.folder.starts_with('/') {
            Ok(())
        } else {
            Err(ConfigError::invalid("folder: must be absolute"))
        }
    }

    async fn tick(&self, tick: &Tick<'_, FileSizesConfig>, rows: &mut Rows) -> Result<(), TickError> {
        tick.count_attempt();
        for file in std::fs::read_dir(&tick.config().folder).map_err(TickError::permanent)? {
            let file = file.map_err(TickError::transient)?;
            let bytes = file.metadata().map_err(TickError::transient)?.len() as f64;
            rows.string(1, &file.file_name().to_string_lossy()).real(2, bytes).end_row();
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registry = Registry::new().with(FileSizes);
    let folder = std::env::current_dir()?;
    let spec = ConnectorSpec {
        name: "here".to_owned(),
        type_id: FileSizes::TYPE_ID.to_owned(),
        target_database: "default".to_owned(),
        target_table: "file_sizes".to_owned(),
        schedule_ms: 500,
        config: serde_json::json!({ "folder": folder }),
    };
    let schema = registry.configure(&spec.type_id, &spec.config)?.schema().clone();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let connector = store.create(spec, &schema).await?;

    let secrets = Arc::new(SecretSources::new());
    let runner = Runner::new(Arc::clone(&store), registry, secrets, RunnerOptions::default());
    let ticked = async {
        while store.ticks(connector.id, 3).await.is_ok_and(|ticks| ticks.len() < 3) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    runner.run(ticked).await;

    for tick in store.ticks(connector.id, 3).await? {
        println!("{}", serde_json::to_string(&tick)?);
    }
    let query = RowQuery {
        database: "default".to_owned(),
        table: "file_sizes".to_owned(),
        limit: 5,
        since: None,
        until: None,
        filters: Vec::new(),
    };
    let mut rows = store.rows(query).await?.batches;
    while let Some(batch) = rows.recv().await {
        batch?.iter().for_each(|row| println!("{row:?}"));
    }
    Ok(())
}
