//! The features of io_uring that the crate uses, with the cost of their absence.

use crate::sys::{Features, Version, opcode};

/// A feature of io_uring that annulus uses where it is there.
#[derive(Clone, Debug)]
pub struct Feature {
    name: &'static str,
    since: Version,
    is_there: bool,
    without: &'static str,
}

impl Feature {
    /// Returns its name: that of the kernel's constant without `IORING_` and its kind, such as
    /// `DEFER_TASKRUN` or `SEND`, or a few words for a feature that has no constant of its own.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the version of Linux that brought it, major and minor. Distributions carry features
    /// back to older kernels, so it says where to look, and not whether it is there.
    #[must_use]
    pub fn since(&self) -> (u16, u16) {
        self.since.numbers()
    }

    /// Whether it is there. One that `ANNULUS_KERNEL` hides is not.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.is_there
    }

    /// Returns what happens without it, as the end of a sentence.
    #[must_use]
    pub fn without(&self) -> &'static str {
        self.without
    }
}

const BY_READINESS: &str = "a plain call is made once the socket is ready";
const BY_HELPER: &str = "a helper thread makes the call";
const NEEDED: &str = "the ring cannot be used: ANNULUS_DRIVER=poll chooses epoll";

/// The opcodes that the crate submits.
const OPCODES: [(u8, &str, &str); 17] = [
    (opcode::NOP, "NOP", NEEDED),
    (opcode::FSYNC, "FSYNC", BY_HELPER),
    (opcode::POLL_ADD, "POLL_ADD", NEEDED),
    (opcode::SENDMSG, "SENDMSG", BY_READINESS),
    (opcode::RECVMSG, "RECVMSG", BY_READINESS),
    (opcode::TIMEOUT, "TIMEOUT", NEEDED),
    (opcode::TIMEOUT_REMOVE, "TIMEOUT_REMOVE", NEEDED),
    (opcode::ACCEPT, "ACCEPT", BY_READINESS),
    (opcode::ASYNC_CANCEL, "ASYNC_CANCEL", NEEDED),
    (opcode::CONNECT, "CONNECT", BY_READINESS),
    (opcode::OPENAT, "OPENAT", BY_HELPER),
    (opcode::OPENAT2, "OPENAT2", BY_HELPER),
    (opcode::CLOSE, "CLOSE", "close(2) is called on this thread"),
    (opcode::READ, "READ", BY_HELPER),
    (opcode::WRITE, "WRITE", BY_HELPER),
    (opcode::SEND, "SEND", BY_READINESS),
    (opcode::RECV, "RECV", BY_READINESS),
];

/// A feature that the probe looks for.
struct Row {
    name: &'static str,
    since: Version,
    is_there: fn(&Features) -> bool,
    without: &'static str,
}

/// The rows of the table in docs/kernels.md, in its order.
const FEATURES: [Row; 11] = [
    Row {
        name: "FAST_POLL",
        since: Version::new(5, 7),
        is_there: |found| found.fast_poll,
        without: "an entry for an idle socket would take a worker thread of the kernel's, so sends, \
             connects and accepts are tried first and then wait by POLL_ADD",
    },
    Row {
        name: "EXT_ARG",
        since: Version::new(5, 11),
        is_there: |found| found.ext_arg,
        without: "a sleep until the next timer takes a timeout entry",
    },
    Row {
        name: "SUBMIT_ALL",
        since: Version::new(5, 18),
        is_there: |found| found.setup.submit_all,
        without: "an entry that the kernel refuses stops those in the queue behind it until the next \
             enter",
    },
    Row {
        name: "registered ring",
        since: Version::new(5, 18),
        is_there: |found| found.registered_ring,
        without: "each enter finds the ring by its descriptor, which costs a little more",
    },
    Row {
        name: "COOP_TASKRUN",
        since: Version::new(5, 19),
        is_there: |found| found.setup.coop_taskrun,
        without: "completions interrupt the thread",
    },
    Row {
        name: "provided buffer ring",
        since: Version::new(5, 19),
        is_there: |found| found.buffer_ring,
        without: "a receive is a wait for readiness and then a plain call, into a buffer of a list",
    },
    Row {
        name: "multishot accept",
        since: Version::new(5, 19),
        is_there: |found| found.multishot_accept,
        without: "each connection is accepted by a step of its own",
    },
    Row {
        name: "multishot receive",
        since: Version::new(6, 0),
        is_there: |found| found.multishot_recv,
        without: "each message is received by an entry of its own, which was measured as 7 % more user \
             instructions for a small HTTP request; UDP sockets wait for readiness and then call \
             recvmmsg(2)",
    },
    Row {
        name: "DEFER_TASKRUN",
        since: Version::new(6, 1),
        is_there: |found| found.setup.defer_taskrun,
        without: "completions are worked on at any visit to the kernel, and not inside enter only",
    },
    Row {
        name: "NO_SQARRAY",
        since: Version::new(6, 6),
        is_there: |found| found.setup.no_sqarray,
        without: "each entry has an index of its own in a second array",
    },
    Row {
        name: "NO_IOWAIT",
        since: Version::new(6, 15),
        is_there: |found| found.no_iowait,
        without: "idle threads count as waiting for a device in the system's load figures",
    },
];

/// The opcodes and then the features of `found`, each group in the order of the kernels.
pub(super) fn list(found: &Features) -> Vec<Feature> {
    let opcodes = OPCODES.iter().map(|&(code, name, without)| Feature {
        name,
        since: opcode::since(code).unwrap_or(Version::new(5, 6)),
        is_there: found.supports(code),
        without,
    });
    let features = FEATURES.iter().map(|row| Feature {
        name: row.name,
        since: row.since,
        is_there: (row.is_there)(found),
        without: row.without,
    });
    opcodes.chain(features).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_opcode_that_is_submitted_is_listed() {
        for code in 0..64 {
            let is_listed = OPCODES.iter().any(|(listed, ..)| *listed == code);
            assert_eq!(is_listed, opcode::since(code).is_some(), "opcode {code}");
        }
    }

    /// The page has a row for each feature, in the same order, and names each opcode.
    #[test]
    fn the_page_about_kernels_tells_the_same() {
        let page = include_str!("../../docs/kernels.md");
        let features = list(&Features::none());
        let (opcodes, features) = features.split_at(OPCODES.len());
        for opcode in opcodes {
            assert!(page.contains(&format!("`{}`", opcode.name())), "{opcode:?}");
        }
        let (_, table) = page.split_once("| From | Feature |").unwrap();
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let told: Vec<&str> = rows
            .map(|row| row.split('|').nth(1).unwrap().trim())
            .collect();
        let own: Vec<String> = features
            .iter()
            .map(|feature| feature.since.to_string())
            .collect();
        assert_eq!(told, own);
    }

    #[test]
    fn nothing_is_there_without_a_ring() {
        let features = list(&Features::none());
        assert_eq!(features.len(), OPCODES.len() + FEATURES.len());
        assert!(features.iter().all(|feature| !feature.is_there()));
    }

    /// The mask hides a feature from the version on that its row has, and in no other.
    #[test]
    fn each_feature_is_of_the_kernel_that_it_says() {
        let Ok(found) = Features::probe() else {
            crate::skip::skip("this machine allows no ring");
            return;
        };
        for (index, feature) in list(&found).into_iter().enumerate() {
            let (major, minor) = feature.since();
            let is_there = |version| list(&found.masked(version))[index].is_there();
            assert_eq!(is_there(feature.since), feature.is_there(), "{feature:?}");
            let before = if minor == 0 {
                Version::new(major - 1, 99)
            } else {
                Version::new(major, minor - 1)
            };
            assert!(!is_there(before), "{feature:?} on {before}");
        }
    }
}
