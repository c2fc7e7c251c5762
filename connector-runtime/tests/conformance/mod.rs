//! The conformance suite. A case is a function over a [`Subject`](subject::Subject); each file is one topic.

/// Makes one test a store of each case.
macro_rules! conformance {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(start_paused = true)]
            async fn $case() {
                super::$case(&super::Subject::memory()).await;
            })+
        }

        mod sqlite {
            $(#[tokio::test]
            async fn $case() {
                super::$case(&super::Subject::sqlite()).await;
            })+
        }
    };
}

mod changes;
mod connectors;
mod filters;
mod leases;
mod rows;
mod subject;
mod ticks;
mod triggers;
