//! What a store leaves behind when it is closed.

use connector_runtime::store::{Revision, Store as _};
use futures_util::FutureExt as _;

use crate::folder::{Folder, commit, connector, nth};

#[tokio::test]
async fn no_write_ahead_log_is_left_when_a_store_is_closed_in_the_middle_of_reading() {
    let folder = Folder::new();
    let store = folder.open();
    let id = connector(&store, "hall").await;
    drop(store);
    for n in 0..40 {
        let store = folder.open();
        commit(&store, id, n, &["a", "b"]).await;
        // They have begun, and nobody waits for them any more.
        let _ = store.ticks(id, 10).now_or_never();
        let _ = store.changes(Revision::default()).now_or_never();
        drop(store);
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["control.db", "plant.db"], "the {n}th time");
        assert_eq!(folder.rows().last().unwrap().0, nth(n));
    }
}
