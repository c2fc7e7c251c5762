//! What the API reads: the newest rows, with conditions on columns.

use std::time::{Duration, Instant};

use connector_runtime::model::Millis;
use connector_runtime::store::{RowQuery, Store};

use crate::{Wanted, times};

const TIMES: usize = 21;
const LONG: Duration = Duration::from_secs(1);
const HOUR: Millis = 3_600_000;

pub(crate) async fn measure(store: &dyn Store, wanted: &Wanted) {
    println!("\nas the API reads");
    let (name, labels) = (wanted.name.as_str(), wanted.labels.to_string());
    let value = wanted.value.to_string();
    let until = wanted.newest + 1;
    let ask = async |what: &str, filters: &[(&str, &str)]| {
        time(store, what, query(100, None, filters)).await;
    };
    ask("the newest rows", &[]).await;
    ask("name=", &[("name", name)]).await;
    ask("labels=", &[("labels", &labels)]).await;
    ask("name= and labels=", &[("name", name), ("labels", &labels)]).await;
    ask("name= that is not there", &[("name", "nothing")]).await;
    ask("labels= that is not there", &[("labels", r#"{"device":"none"}"#)]).await;
    ask("value=", &[("value", &value)]).await;
    ask("name= and value= that is not there", &[("name", name), ("value", "-7.5")]).await;
    for (what, span) in [("one series over an hour", HOUR), ("one series over a day", 24 * HOUR)] {
        let filters = [("name", name), ("labels", labels.as_str())];
        time(store, what, query(10_000, Some((until - span, until)), &filters)).await;
    }
    let last = Some((until - 60_000, until));
    time(store, "a name within a minute", query(1_000_000, last, &[("name", name)])).await;
    let day = Some((until - 24 * HOUR, until));
    time(
        store,
        "value= that is not there, within an hour",
        query(100, Some((until - HOUR, until)), &[("value", "-7.5")]),
    )
    .await;
    time(store, "value= that is not there, within a day", query(100, day, &[("value", "-7.5")])).await;
    ask("value= that is not there", &[("value", "-7.5")]).await;
}

fn query(limit: usize, span: Option<(Millis, Millis)>, filters: &[(&str, &str)]) -> RowQuery {
    RowQuery {
        database: "default".to_owned(),
        table: "metrics".to_owned(),
        limit,
        since: span.map(|(since, _)| since),
        until: span.map(|(_, until)| until),
        filters: filters.iter().map(|(column, value)| ((*column).to_owned(), (*value).to_owned())).collect(),
    }
}

async fn time(store: &dyn Store, what: &str, query: RowQuery) {
    let (mut taken, mut rows) = (Vec::new(), 0);
    while taken.len() < TIMES && taken.last().is_none_or(|last| *last < LONG) {
        let start = Instant::now();
        let mut batches = store.rows(query.clone()).await.expect("a table").batches;
        rows = 0;
        while let Some(batch) = batches.recv().await {
            rows += batch.expect("rows").len();
        }
        taken.push(start.elapsed());
    }
    times::print(what, rows, &mut taken);
}
