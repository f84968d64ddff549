//! [`Timer`]: hyper's timeouts.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{task::ThreadBound, time};

/// The runtime's clock and timers for hyper.
///
/// A sleep is one allocation, since hyper keeps it in a box; setting it to another deadline
/// allocates nothing. In tests that [pause the clock](crate::time::pause) hyper's timeouts follow
/// it.
///
/// # Panics
///
/// Sleeps are made inside of a runtime and polled on its thread only.
///
/// # Examples
///
/// ```
/// use annulus::compat::hyper::Timer;
/// use hyper::rt::Timer as _;
/// use std::time::Duration;
///
/// annulus::run(async {
///     let mut sleep = Timer.sleep(Duration::from_secs(3600));
///     Timer.reset(&mut sleep, Timer.now() + Duration::from_millis(1));
///     sleep.await;
/// });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

struct Sleep(ThreadBound<time::Sleep>);

impl Sleep {
    fn boxed(sleep: time::Sleep) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Self(ThreadBound::new(sleep)))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut Pin::into_inner(self).0).poll(context)
    }
}

impl hyper::rt::Sleep for Sleep {}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Sleep::boxed(time::sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Sleep::boxed(time::sleep_until(deadline))
    }

    fn now(&self) -> Instant {
        time::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(ours) => Pin::into_inner(ours).0.get_mut().reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}
