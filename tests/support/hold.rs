//! A place where somebody waits until the test lets them go on.

use tokio::sync::watch;

/// Whoever comes waits until [`Hold::release`]; dropping it releases, too.
pub struct Hold {
    released: watch::Sender<bool>,
    reached: watch::Receiver<u32>,
}

/// The other side of a [`Hold`].
#[derive(Clone)]
pub(crate) struct Stop {
    released: watch::Receiver<bool>,
    reached: watch::Sender<u32>,
}

impl Hold {
    pub(crate) fn new() -> (Self, Stop) {
        let (released, wait_for_release) = watch::channel(false);
        let (reach, reached) = watch::channel(0);
        (Self { released, reached }, Stop { released: wait_for_release, reached: reach })
    }

    /// Until `times` comers in all wait, or have waited, here.
    ///
    /// # Panics
    /// When they do not come.
    pub async fn reached(&mut self, times: u32) {
        let reached = self.reached.wait_for(|reached| *reached >= times);
        let reached = tokio::time::timeout(crate::wait::LIMIT, reached).await;
        assert!(reached.is_ok_and(|gone| gone.is_ok()), "nobody came {times} times to what is held");
    }

    /// How many have come so far.
    #[must_use]
    pub fn readers(&self) -> u32 {
        *self.reached.borrow()
    }

    /// Lets all go on, those who come later as well.
    pub fn release(self) {
        self.released.send_replace(true);
    }
}

impl Stop {
    pub(crate) async fn wait(&mut self) {
        self.reached.send_modify(|reached| *reached += 1);
        // An error means that the hold is gone: go on.
        let _ = self.released.wait_for(|released| *released).await;
    }
}
