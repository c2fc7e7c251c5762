//! A local exporter of this machine's own metrics, in both formats, for trying things out.
//!
//! ```text
//! cargo run --release --example exporter -- --listen 127.0.0.1:9101
//! curl -H 'Accept: application/openmetrics-text; version=1.0.0' http://127.0.0.1:9101/metrics
//! ```

#[path = "exporter/machine.rs"]
mod machine;

use std::net::SocketAddr;

use clap::Parser;
use tokio::net::TcpListener;

#[derive(Parser)]
#[command(about = "Serves this machine's own metrics in OpenMetrics 1.0 and Prometheus 0.0.4")]
struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9101")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(Args::parse().listen).await?;
    println!("http://{}/metrics", listener.local_addr()?);
    machine::serve(listener).await
}
