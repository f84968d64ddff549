//! The state of this machine, as far as it matters to a runtime: the driver, and the reason for it.

mod feature;
mod report;
mod surroundings;

use std::io;

pub use feature::Feature;
pub use surroundings::Surrounding;

use surroundings::Traces;

use crate::{
    driver::DriverKind,
    runtime::Runtime,
    sys::{self, Features, KernelName, ResourceLimit, Version},
};

/// Finds out which driver a runtime gets here, and why.
///
/// It makes a runtime, drops it, and reads a few files below `/proc` and `/sys`. The process stays
/// as it was: nothing is written, also not the warning of the poll driver, and no limit is changed.
/// It can be called on any thread, inside of a runtime too. For a millisecond or so it needs the
/// descriptors and the locked memory of one more runtime.
///
/// The example `doctor` prints it.
///
/// # Examples
///
/// A service that writes to its log how it is going to run:
///
/// ```
/// let diagnosis = annulus::diagnose();
/// if !diagnosis.uses_ring() {
///     eprintln!("not at full speed: {}", diagnosis.reason());
///     for advice in diagnosis.advice() {
///         eprintln!("{advice}");
///     }
/// }
/// println!("{diagnosis}"); // all of it, as a report
/// ```
#[must_use]
pub fn diagnose() -> Diagnosis {
    let kernel = KernelName::of_this_one();
    let outcome = Outcome::of_a_runtime();
    let traces = Traces::read(&kernel);
    let surroundings = surroundings::noticed(&traces);
    let descriptors = ResourceLimit::descriptors();
    let features = outcome.features.as_ref().map(feature::list);
    let mut diagnosis = Diagnosis {
        driver: outcome.driver,
        reason: outcome.reason,
        kernel_release: kernel.release,
        emulated: outcome.emulated.map(|version| version.to_string()),
        io_uring_disabled: sys::io_uring_disabled(),
        has_seccomp_filter: sys::has_seccomp_filter(),
        locked_bytes: ResourceLimit::locked_bytes(),
        descriptors,
        descriptors_possible: sys::descriptors_possible(),
        affine_cores: sys::affine_cores(),
        cores: sys::allowed_cores(),
        quota_cores: sys::quota_cores(),
        surroundings,
        features: features.unwrap_or_default(),
        advice: Vec::new(),
    };
    diagnosis.advice = surroundings::advice(&diagnosis, outcome.is_forbidden);
    diagnosis
}

/// The state of this machine, as far as it matters to a runtime. [`diagnose`] finds it out.
///
/// Printed by `{}` it is a report for people: a label and plain sentences in each paragraph, 100
/// columns wide.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    driver: Option<DriverKind>,
    reason: String,
    kernel_release: String,
    emulated: Option<String>,
    io_uring_disabled: Option<u32>,
    has_seccomp_filter: Option<bool>,
    locked_bytes: Option<ResourceLimit>,
    descriptors: Option<ResourceLimit>,
    descriptors_possible: Option<u64>,
    affine_cores: Vec<usize>,
    cores: Vec<usize>,
    quota_cores: Option<usize>,
    surroundings: Vec<Surrounding>,
    features: Vec<Feature>,
    advice: Vec<String>,
}

impl Diagnosis {
    /// Returns the driver that a runtime gets here, `Ring` or `Poll`, unless its builder or the
    /// environment chooses another; `None` where it gets an error.
    #[must_use]
    pub fn driver(&self) -> Option<DriverKind> {
        self.driver
    }

    /// Whether a runtime uses the ring here.
    #[must_use]
    pub fn uses_ring(&self) -> bool {
        self.driver == Some(DriverKind::Ring)
    }

    /// Returns the reason for the driver, or for the error. The error of
    /// [`RuntimeBuilder::build`](crate::RuntimeBuilder::build), and the warning of the poll driver,
    /// say the same sentence.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the kernel's release, such as `6.1.0-18-amd64`.
    #[must_use]
    pub fn kernel_release(&self) -> &str {
        &self.kernel_release
    }

    /// Returns the sysctl `kernel.io_uring_disabled`: 0, 1 or 2. `None` where the kernel has none
    /// (before 6.6) or it cannot be read.
    #[must_use]
    pub fn io_uring_disabled(&self) -> Option<u32> {
        self.io_uring_disabled
    }

    /// Whether a seccomp filter looks at this thread's system calls; `None` where `/proc` does not
    /// tell.
    #[must_use]
    pub fn has_seccomp_filter(&self) -> Option<bool> {
        self.has_seccomp_filter
    }

    /// Returns the limit on locked memory in bytes (`RLIMIT_MEMLOCK`), `u64::MAX` where there is
    /// none.
    #[must_use]
    pub fn locked_bytes_max(&self) -> u64 {
        soft(self.locked_bytes)
    }

    /// Returns the limit on open descriptors (`RLIMIT_NOFILE`), `u64::MAX` where there is none.
    #[must_use]
    pub fn descriptors_max(&self) -> u64 {
        soft(self.descriptors)
    }

    /// Returns the processors that [`Cores::All`](crate::Cores::All) stands for.
    #[must_use]
    pub fn cores(&self) -> &[usize] {
        &self.cores
    }

    /// Returns the number of whole processors that the control group's quota pays for, rounded up;
    /// `None` without a quota.
    #[must_use]
    pub fn quota_cores(&self) -> Option<usize> {
        self.quota_cores
    }

    /// Returns the containers and sandboxes that were noticed. The signs for them are their files
    /// and variables, which an administrator can remove: an empty list is no proof.
    #[must_use]
    pub fn surroundings(&self) -> &[Surrounding] {
        &self.surroundings
    }

    /// Returns each feature of io_uring that annulus uses. The list is empty where no ring can be
    /// had, since there is none that could be asked.
    #[must_use]
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// Returns a sentence for each thing that could be changed for the better here.
    #[must_use]
    pub fn advice(&self) -> &[String] {
        &self.advice
    }
}

/// The limit that holds, as a number.
fn soft(limit: Option<ResourceLimit>) -> u64 {
    limit.and_then(|limit| limit.soft).unwrap_or(u64::MAX)
}

/// The driver of a runtime that was made to see it.
struct Outcome {
    driver: Option<DriverKind>,
    reason: String,
    /// Whether this machine refuses rings.
    is_forbidden: bool,
    features: Option<Features>,
    emulated: Option<Version>,
}

impl Outcome {
    fn of_a_runtime() -> Self {
        let emulated = Version::from_environment().ok().flatten();
        let outcome = |driver, reason: &str, is_forbidden, features| Self {
            driver,
            reason: reason.to_owned(),
            is_forbidden,
            features,
            emulated,
        };
        let (runtime, refusal) = match Runtime::builder().build_silently() {
            Ok(built) => built,
            Err(error) => {
                let refusals = [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported];
                let is_forbidden = refusals.contains(&error.kind());
                return outcome(None, &error.to_string(), is_forbidden, None);
            }
        };
        let driver = runtime.driver_kind();
        match refusal {
            Some(refusal) => outcome(Some(driver), &refusal.to_string(), true, None),
            None if driver == DriverKind::Ring => {
                let features = Some(*runtime.features());
                outcome(Some(driver), "io_uring is allowed here", false, features)
            }
            None => {
                let probed = Features::probe().ok();
                let features = match emulated {
                    Some(version) => probed.map(|features| features.masked(version)),
                    None => probed,
                };
                let reason = "the environment variable ANNULUS_DRIVER chooses epoll";
                outcome(Some(driver), reason, false, features)
            }
        }
    }
}
