//! The threads that the worker runs on.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// How far the worker's threads stand behind those of other programs, of 19. Unpacking and scanning take whatever cores
/// there are; an API or a database on the same machine, which somebody waits for, must not queue behind them.
const NICENESS: i32 = 10;

/// A runtime whose threads, and all threads that they start, yield to others.
pub(crate) fn background() -> io::Result<Runtime> {
    Builder::new_multi_thread().enable_all().thread_name("intake-worker").on_thread_start(yield_to_others).build()
}

fn yield_to_others() {
    // Who started the worker may have put it further back. Where this is not allowed, the work is as right as anywhere.
    if niceness() < NICENESS {
        let _ = rustix::process::setpriority_process(None, NICENESS);
    }
}

/// This thread's.
fn niceness() -> i32 {
    rustix::process::getpriority_process(None).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_of_the_worker_yields() {
        let runtime = background().unwrap();
        let started = async {
            let on_runtime = tokio::spawn(async { niceness() }).await.unwrap();
            let blocking = tokio::task::spawn_blocking(niceness).await.unwrap();
            let child = tokio::task::spawn_blocking(|| std::thread::spawn(niceness).join().unwrap()).await.unwrap();
            [on_runtime, blocking, child]
        };
        let before = niceness();
        assert_eq!(runtime.block_on(started), [before.max(NICENESS); 3]);
        assert_eq!(niceness(), before);
    }
}
