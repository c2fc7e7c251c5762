//! Where connectors, leases, tick records and rows are kept: one trait, with the domain's verbs.
//!
//! # Leases
//!
//! A connector ticks in one place at a time. [`claim`](Store::claim) gives a runner the **lease** of a connector for
//! one bucket. A lease has an identity of two parts, the **fence** (a number that grows with each claim of the
//! connector) and the **owner** (the runner's random id), and a term of [`LEASE`]. Renewing, finishing and giving back
//! all need both, unexpired, by the store's own clock. A runner that lost its lease can change nothing any more.
//!
//! A lease is live while `0 < expiry − now <= LEASE`: one that seems to last longer comes from a clock that has jumped
//! or restarted, and is no lease at all.
//!
//! # Once
//!
//! A tick is identified by (connector, `scheduled_for`). [`finish`](Store::finish) checks the lease, then writes the
//! rows, then the tick's record, and all of that happens or nothing. A bucket that has committed never commits again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_core::{Cause, ColumnType, Rows, Schema};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::model::{ConnectorRecord, ConnectorSpec, Millis, Outcome, State, TickRecord};

/// How long a lease lasts unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(10);

/// How often a runner renews the leases of the ticks that it has in flight.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);

/// A place where connectors, leases, tick records and rows are kept.
///
/// All implementations behave alike; one conformance suite says how, and every one of them passes it.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Keeps a new connector, active from now on. The spec has been checked. `schema` is what its table looks like:
    /// the table is known from now on, though empty.
    ///
    /// # Errors
    ///
    /// [`NameTaken`](StoreError::NameTaken); [`SchemaMismatch`](StoreError::SchemaMismatch) when the table exists
    /// with other columns; [`BadTarget`](StoreError::BadTarget) for a name that the store keeps for itself.
    async fn create(&self, spec: ConnectorSpec, schema: &Schema) -> Result<ConnectorRecord, StoreError>;

    /// The connector of that id, if there is one.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    async fn get(&self, id: Uuid) -> Result<Option<ConnectorRecord>, StoreError>;

    /// Up to `limit` connectors in the order of their ids, beginning after `after`.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    async fn list(&self, after: Option<Uuid>, limit: usize) -> Result<Vec<ConnectorRecord>, StoreError>;

    /// Replaces what was asked for. State, last error and last tick stay; pending triggers are dropped. A tick in
    /// flight for the old spec can no longer commit.
    ///
    /// # Errors
    ///
    /// [`NotFound`](StoreError::NotFound), and those of [`create`](Store::create).
    async fn replace(
        &self,
        id: Uuid,
        spec: ConnectorSpec,
        schema: &Schema,
    ) -> Result<ConnectorRecord, StoreError>;

    /// Forgets a connector. Its rows stay, and its tick in flight can no longer commit.
    ///
    /// # Errors
    ///
    /// [`NotFound`](StoreError::NotFound).
    async fn delete(&self, id: Uuid) -> Result<(), StoreError>;

    /// Pauses a connector (`active` false), or makes it active again whatever it was before; doing either twice is
    /// doing it once. A disabled connector that is paused is paused. Pausing drops pending triggers. A tick in flight
    /// goes on.
    ///
    /// # Errors
    ///
    /// [`NotFound`](StoreError::NotFound).
    async fn set_active(&self, id: Uuid, active: bool) -> Result<ConnectorRecord, StoreError>;

    /// Asks for a tick now and returns the bucket that it is for: the current bucket, unless that has committed
    /// already, and otherwise an extra one stamped with the current second. Asking twice for one bucket is asking once.
    ///
    /// # Errors
    ///
    /// [`NotFound`](StoreError::NotFound); [`NotActive`](StoreError::NotActive) when paused or disabled.
    async fn trigger(&self, id: Uuid, now: Millis) -> Result<Millis, StoreError>;

    /// All that runners need to know of what has changed after `since`; everything, for [`Revision::default`].
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    async fn changes(&self, since: Revision) -> Result<Changes, StoreError>;

    /// Resolves once there may be changes after `since`, in this process or another. It may resolve for nothing.
    async fn changed(&self, since: Revision);

    /// Claims connectors for their buckets, for the runner of that random id, and answers each claim in order.
    ///
    /// When the lease that is taken over was left behind with its tick unfinished, that tick is recorded as
    /// [`Abandoned`](Outcome::Abandoned), unless it is the very bucket that is claimed now.
    ///
    /// # Errors
    ///
    /// When the store as a whole failed. Nothing was claimed then.
    async fn claim(&self, owner: Uuid, runner: &str, claims: &[Claim]) -> Result<Vec<Claimed>, StoreError>;

    /// Renews leases to a full term, and says of each whether it was still held.
    ///
    /// # Errors
    ///
    /// When the store as a whole failed. It is not known then what was renewed.
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<bool>, StoreError>;

    /// Ends a tick: checks the lease, writes the rows (of a committed one) and the tick's record, updates the
    /// connector's last tick and last error, disables it on [`Outcome::Config`], and frees the lease. All or nothing.
    /// An [`Abandoned`](Outcome::Abandoned) tick is one that is given back: its bucket may be claimed again.
    ///
    /// # Errors
    ///
    /// [`LeaseLost`](StoreError::LeaseLost): nothing was written and there is no point in trying again.
    /// Anything else: nothing was written, and the same call may be made again while the lease lasts.
    async fn finish(&self, tick: FinishedTick) -> Result<(), StoreError>;

    /// A connector's finished ticks, the newest bucket first.
    ///
    /// # Errors
    ///
    /// [`NotFound`](StoreError::NotFound).
    async fn ticks(&self, id: Uuid, limit: usize) -> Result<Vec<TickRecord>, StoreError>;

    /// Reads a table, newest ticks first, all within one snapshot: part of a tick is never seen. The batches arrive on
    /// the channel; dropping the receiver stops the reading, and so may a store that nobody takes rows from.
    ///
    /// # Errors
    ///
    /// [`NotFound`](StoreError::NotFound) for a table that nobody knows; [`BadFilter`](StoreError::BadFilter).
    async fn rows(&self, query: RowQuery) -> Result<RowStream, StoreError>;

    /// Checks that the store can be read and written.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    async fn ready(&self) -> Result<(), StoreError>;
}

/// A point in the history of the connectors. A store's own; only good for giving back to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// What has changed since a revision.
#[derive(Clone, Debug)]
pub struct Changes {
    /// Where this leaves the reader.
    pub revision: Revision,
    /// Each connector that has changed, once, as it is now.
    pub connectors: Vec<Change>,
}

/// A connector that has changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is there, and this is what a runner needs of it.
    Present(Box<Assignment>),
    /// It was deleted.
    Gone(Uuid),
}

/// What a runner needs to know of a connector.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// The connector's id.
    pub id: Uuid,
    /// Counts the replacements of the spec, so that a claim can say which one it is made for.
    pub generation: u64,
    /// What was asked for.
    pub spec: ConnectorSpec,
    /// Whether it ticks.
    pub state: State,
    /// Buckets that were asked for by trigger and have not ended yet, oldest first.
    pub triggers: Vec<Millis>,
    /// The bucket that a runner has the lease for, or had when it died, and how long that lease lasts yet.
    pub leased: Option<(Millis, Duration)>,
    /// The latest tick that has ended, if there was one.
    pub last_tick: Option<TickRecord>,
}

/// A wish to run one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The connector.
    pub connector: Uuid,
    /// The [generation](Assignment::generation) that the claimer knows.
    pub generation: u64,
    /// The bucket.
    pub scheduled_for: Millis,
    /// Whether an operator asked for it: then a bucket that failed may be run again.
    pub triggered: bool,
}

/// The answer to a [`Claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The tick is the claimer's to run.
    Granted(Lease),
    /// Another runner has the connector; its lease lasts so long yet unless it is renewed.
    Held(Duration),
    /// That bucket has been run: it committed, or it failed and nobody asked for it again.
    Done,
    /// The connector is gone, not active, or of another generation: read the [changes](Store::changes).
    Stale,
}

/// The right to run one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The connector.
    pub connector: Uuid,
    /// The bucket.
    pub scheduled_for: Millis,
    /// Grows with each claim of the connector.
    pub fence: u64,
    /// The runner's random id.
    pub owner: Uuid,
}

/// A tick that has ended, and what it leaves.
#[derive(Clone, Debug)]
pub struct FinishedTick {
    /// The lease it ran under.
    pub lease: Lease,
    /// What is recorded of it. `rows` is the number of [rows](Self::rows) where it committed, and otherwise 0.
    pub record: TickRecord,
    /// The rows and their shape, of a tick that committed. Shared, so that a failed write can be tried again.
    pub rows: Option<(Arc<Schema>, Arc<Rows>)>,
}

/// Which rows of a table to read.
#[derive(Clone, Debug, PartialEq)]
pub struct RowQuery {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// At most so many rows.
    pub limit: usize,
    /// Only ticks at or after this time.
    pub since: Option<Millis>,
    /// Only ticks before this time.
    pub until: Option<Millis>,
    /// Only rows whose column of that name has that value, as text: a string as it is, a real in any spelling of the
    /// number, a timestamp in RFC 3339, a map as a JSON object with the same entries; `null` for a real or a timestamp that is null.
    pub filters: Vec<(String, String)>,
}

/// A table's rows on their way.
#[derive(Debug)]
pub struct RowStream {
    /// The columns, in order.
    pub columns: Vec<(String, ColumnType)>,
    /// The rows, in batches. An error ends the stream.
    pub batches: mpsc::Receiver<Result<Vec<Vec<Cell>>, StoreError>>,
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Null.
    Null,
    /// An instant.
    Timestamp(Millis),
    /// Text.
    Text(String),
    /// A finite number.
    Real(f64),
    /// A map, as the text of a JSON object.
    Json(String),
}

/// Why a store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such connector or table.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Another connector has that name.
    #[error("a connector named {0:?} exists already")]
    NameTaken(String),
    /// The connector is paused or disabled.
    #[error("the connector is {}; resume it first", match .0 { State::Paused => "paused", State::Disabled => "disabled", State::Active => "active" })]
    NotActive(State),
    /// The table exists with other columns.
    #[error("target_table: table {0:?} exists with other columns than this connector type writes")]
    SchemaMismatch(String),
    /// This store cannot have a database or table of that name; the text begins with the field's.
    #[error("{0}; choose another name")]
    BadTarget(String),
    /// A filter that makes no sense for the table.
    #[error("{0}")]
    BadFilter(String),
    /// The lease is no longer held: another runner has the connector, or the connector was changed or deleted.
    #[error("the lease was lost")]
    LeaseLost,
    /// The store was written by a newer version of this program.
    #[error(
        "the store at {place} has layout {found}, and this version knows layouts up to {known}: use a newer version"
    )]
    NewerLayout {
        /// Which file or database.
        place: String,
        /// Its layout.
        found: i64,
        /// The newest layout that is known.
        known: i64,
    },
    /// The store itself failed, as with a full disk. What was asked for has not been done, and may be asked for again.
    #[error("{what}")]
    Failed {
        /// What could not be done.
        what: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The store itself failed at `what` because of `cause`.
    pub fn failed(what: impl Into<String>, cause: impl Into<Cause>) -> Self {
        Self::Failed { what: what.into(), cause: cause.into() }
    }
}

/// Whether a bucket with this outcome is done with, for a claim of that kind.
pub fn is_done(outcome: Outcome, triggered: bool) -> bool {
    match outcome {
        Outcome::Committed => true,
        Outcome::Abandoned => false,
        Outcome::Transient | Outcome::Permanent | Outcome::Config => !triggered,
    }
}
