//! Containers and sandboxes around this process, and the advice for each.

use std::{env, fmt, fs, path::Path};

use super::Diagnosis;
use crate::sys::KernelName;

/// A container, a sandbox or a manager that this process runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Surrounding {
    /// A container of Docker's.
    Docker,
    /// A container of Podman's.
    Podman,
    /// A pod of Kubernetes.
    Kubernetes,
    /// gVisor, a sandbox whose own kernel answers in place of Linux.
    GVisor,
    /// The Windows Subsystem for Linux.
    Wsl,
    /// A unit of systemd, with this process as its main one.
    Systemd,
}

impl Surrounding {
    /// The sentence that says how the ring is allowed in it.
    fn advice(self) -> &'static str {
        match self {
            Self::Docker => {
                "Docker: `docker run --security-opt seccomp=annulus.json` allows the ring, with \
                 the profile docs/seccomp/annulus.json, or with Docker's own and the three calls \
                 added to it."
            }
            Self::Podman => {
                "Podman: `podman run --security-opt seccomp=annulus.json` allows the ring, with \
                 the profile docs/seccomp/annulus.json."
            }
            Self::Kubernetes => {
                "Kubernetes: copy docs/seccomp/annulus.json to the folder seccomp of the kubelet \
                 on each node, and name it in the pod by `seccompProfile: {type: Localhost, \
                 localhostProfile: annulus.json}`."
            }
            Self::GVisor => {
                "gVisor: its kernel has no ring, so a container that needs one runs under another \
                 runtime, such as runc."
            }
            Self::Wsl => {
                "WSL: version 1 has no io_uring and version 2 has, and `wsl --set-version` moves \
                 a distribution."
            }
            Self::Systemd => {
                "systemd: a unit with a SystemCallFilter= needs the group @aio in it, which has \
                 the three calls of io_uring."
            }
        }
    }
}

impl fmt::Display for Surrounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "a container of Docker's",
            Self::Podman => "a container of Podman's",
            Self::Kubernetes => "a pod of Kubernetes",
            Self::GVisor => "the sandbox gVisor",
            Self::Wsl => "the Windows Subsystem for Linux",
            Self::Systemd => "a unit of systemd",
        })
    }
}

/// The places where containers leave their marks.
#[derive(Clone, Debug, Default)]
pub(super) struct Traces {
    kernel: KernelName,
    has_dockerenv: bool,
    has_containerenv: bool,
    has_kubernetes_service: bool,
    /// The variable `container`, which Podman and systemd's containers set.
    container: String,
    cgroup: String,
    is_unit: bool,
}

impl Traces {
    pub(super) fn read(kernel: &KernelName) -> Self {
        let own = std::process::id().to_string();
        Self {
            kernel: kernel.clone(),
            has_dockerenv: Path::new("/.dockerenv").exists(),
            has_containerenv: Path::new("/run/.containerenv").exists(),
            has_kubernetes_service: env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
            container: env::var("container").unwrap_or_default(),
            cgroup: fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
            is_unit: env::var("SYSTEMD_EXEC_PID").is_ok_and(|main| main == own),
        }
    }
}

/// The surroundings that left their marks.
pub(super) fn noticed(traces: &Traces) -> Vec<Surrounding> {
    let in_group = |name| traces.cgroup.contains(name);
    let release = traces.kernel.release.to_lowercase();
    let build = &traces.kernel.build;
    // Its releases have been called 4.4.0 and 4.19.0-gvisor, always with this day.
    let is_gvisor = release.contains("gvisor")
        || build.contains("gVisor")
        || (release == "4.4.0" && build.ends_with("Sun Jan 10 15:06:54 PST 2016"));
    let marks = [
        (
            Surrounding::Docker,
            traces.has_dockerenv || in_group("docker"),
        ),
        (
            Surrounding::Podman,
            traces.has_containerenv || traces.container == "podman" || in_group("libpod"),
        ),
        (
            Surrounding::Kubernetes,
            traces.has_kubernetes_service || in_group("kubepods"),
        ),
        (Surrounding::GVisor, is_gvisor),
        (Surrounding::Wsl, release.contains("microsoft")),
        (Surrounding::Systemd, traces.is_unit),
    ];
    let found = marks.into_iter().filter(|(_, is_there)| *is_there);
    found.map(|(surrounding, _)| surrounding).collect()
}

/// The limit that many systems begin with. There is advice to raise it, and none above it.
const DESCRIPTORS_USUAL: u64 = 1024;

/// The sentences for what could be changed for the better.
pub(super) fn advice(diagnosis: &Diagnosis, is_forbidden: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    if is_forbidden {
        sentences.extend(for_a_ring(diagnosis).map(str::to_owned));
    }
    let lacks = |name| {
        let mut features = diagnosis.features.iter();
        features.any(|feature| feature.name() == name && !feature.is_there())
    };
    if diagnosis.uses_ring() && diagnosis.emulated.is_none() && lacks("DEFER_TASKRUN") {
        let sentence = "Linux: the ring is at its best from 6.1 on, so a newer kernel is worth it.";
        sentences.push(sentence.to_owned());
    }
    if diagnosis.descriptors_max() <= DESCRIPTORS_USUAL {
        sentences.push(format!(
            "Descriptors: each connection takes one, so raise the limit of {} by `ulimit -n`, \
             `LimitNOFILE=` or `--ulimit nofile`.",
            diagnosis.descriptors_max()
        ));
    }
    sentences
}

/// The sentences that say how a forbidden ring is allowed.
fn for_a_ring(diagnosis: &Diagnosis) -> impl Iterator<Item = &'static str> {
    let by_sysctl = diagnosis.io_uring_disabled.is_some_and(|value| value > 0);
    let sysctl = by_sysctl.then_some(
        "The sysctl belongs to the host: `sysctl -w kernel.io_uring_disabled=0` allows the ring \
         there, and a file in /etc/sysctl.d keeps it so.",
    );
    let has_filter = diagnosis.has_seccomp_filter != Some(false);
    let surroundings = diagnosis.surroundings.iter();
    // A process without a filter is not helped by another one.
    let surroundings = surroundings.filter(move |surrounding| {
        has_filter || matches!(surrounding, Surrounding::GVisor | Surrounding::Wsl)
    });
    sysctl
        .into_iter()
        .chain(surroundings.map(|surrounding| surrounding.advice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kernel(release: &str, build: &str) -> Traces {
        Traces {
            kernel: KernelName {
                release: release.to_owned(),
                build: build.to_owned(),
            },
            ..Traces::default()
        }
    }

    fn of_group(cgroup: &str) -> Traces {
        Traces {
            cgroup: cgroup.to_owned(),
            ..of_kernel("6.1.0-18-amd64", "#1 SMP Debian 6.1.76-1")
        }
    }

    #[test]
    fn surroundings_are_noticed_by_their_marks() {
        let bare = of_group("0::/\n");
        let gvisor = "#1 SMP Sun Jan 10 15:06:54 PST 2016";
        let cases = [
            (bare.clone(), &[][..]),
            (
                of_group("0::/user.slice/user-1000.slice/session-2.scope\n"),
                &[],
            ),
            (
                of_group("0::/system.slice/docker-0123.scope\n"),
                &[Surrounding::Docker],
            ),
            (of_group("9:cpu:/docker/0123\n"), &[Surrounding::Docker]),
            (
                of_group("9:cpu:/kubepods/burstable/pod1\n"),
                &[Surrounding::Kubernetes],
            ),
            (
                of_group("0::/machine.slice/libpod-1.scope\n"),
                &[Surrounding::Podman],
            ),
            (of_kernel("4.4.0", gvisor), &[Surrounding::GVisor]),
            (of_kernel("4.19.0-gvisor", gvisor), &[Surrounding::GVisor]),
            // Ubuntu's, and not the sandbox.
            (of_kernel("4.4.0-210-generic", "#242-Ubuntu SMP"), &[]),
            (
                of_kernel("5.15.153.1-microsoft-standard-WSL2", "#1 SMP"),
                &[Surrounding::Wsl],
            ),
            (
                of_kernel("4.4.0-19041-Microsoft", "#1237-Microsoft"),
                &[Surrounding::Wsl],
            ),
            (
                Traces {
                    has_dockerenv: true,
                    has_kubernetes_service: true,
                    ..bare.clone()
                },
                &[Surrounding::Docker, Surrounding::Kubernetes],
            ),
            (
                Traces {
                    has_containerenv: true,
                    ..bare.clone()
                },
                &[Surrounding::Podman],
            ),
            (
                Traces {
                    is_unit: true,
                    ..bare
                },
                &[Surrounding::Systemd],
            ),
        ];
        for (traces, expected) in cases {
            assert_eq!(noticed(&traces), expected, "{traces:?}");
        }
    }

    /// A diagnosis of a forbidden ring, whatever this machine says.
    fn forbidden(
        surroundings: &[Surrounding],
        sysctl: Option<u32>,
        filter: Option<bool>,
    ) -> String {
        let diagnosis = Diagnosis {
            driver: Some(crate::DriverKind::Poll),
            io_uring_disabled: sysctl,
            has_seccomp_filter: filter,
            surroundings: surroundings.to_vec(),
            features: Vec::new(),
            descriptors: None,
            ..super::super::diagnose()
        };
        advice(&diagnosis, true).join("\n")
    }

    #[test]
    fn each_surrounding_of_a_forbidden_ring_has_a_sentence() {
        let all = [
            Surrounding::Docker,
            Surrounding::Podman,
            Surrounding::Kubernetes,
            Surrounding::GVisor,
            Surrounding::Wsl,
            Surrounding::Systemd,
        ];
        let said = forbidden(&all, Some(0), Some(true));
        assert_eq!(said.lines().count(), all.len(), "{said}");
        for start in [
            "Docker: ",
            "Podman: ",
            "Kubernetes: ",
            "gVisor: ",
            "WSL: ",
            "systemd: ",
        ] {
            assert!(said.lines().any(|line| line.starts_with(start)), "{said}");
        }
        let said = forbidden(&all, Some(0), Some(false));
        assert_eq!(said.lines().count(), 2, "no filter, no profile: {said}");
        let said = forbidden(&[], Some(2), None);
        assert!(said.starts_with("The sysctl belongs to the host"), "{said}");
        assert_eq!(forbidden(&[], None, Some(true)), "");
    }

    #[test]
    fn a_low_limit_on_descriptors_has_a_sentence() {
        let with = |soft| {
            let limit = crate::sys::ResourceLimit { soft, hard: None };
            let diagnosis = Diagnosis {
                features: Vec::new(),
                descriptors: Some(limit),
                ..super::super::diagnose()
            };
            advice(&diagnosis, false)
        };
        assert!(with(Some(1024))[0].contains("the limit of 1024 by `ulimit -n`"));
        assert_eq!(with(Some(20_000)), [""; 0]);
        assert_eq!(with(None), [""; 0]);
    }
}
