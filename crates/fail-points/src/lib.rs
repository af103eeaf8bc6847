//! Places at which a test stops a program, to do harm to it or to what it depends on before it goes on.
//!
//! Without the feature `enabled` a fail point is nothing. With it, a fail point still does nothing until the program itself
//! calls `announce_to`, which no program of the product does: neither settings nor environment can switch one on.

#[cfg(feature = "enabled")]
mod desk;

#[cfg(feature = "enabled")]
pub use desk::announce_to;

use uuid::Uuid;

/// The program is at `place.moment` with its work on `subject` (the intake, where there is one). Ends when it may go on.
#[cfg_attr(not(feature = "enabled"), expect(clippy::unused_async, reason = "it waits only where it is enabled"))]
#[inline]
pub async fn reach(place: &'static str, moment: &'static str, subject: Uuid) {
    #[cfg(feature = "enabled")]
    desk::announce(place, moment, subject).await;
    #[cfg(not(feature = "enabled"))]
    let _ = (place, moment, subject);
}
