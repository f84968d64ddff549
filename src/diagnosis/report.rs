//! The diagnosis as a text for people.

use std::fmt;

use super::{Diagnosis, Surrounding};
use crate::{driver::DriverKind, sys::ResourceLimit};

/// The column in which sentences begin.
const INDENT: usize = 13;
/// The most columns of a line.
const COLUMNS_MAX: usize = 100;

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (label, sentence) in self.paragraphs() {
            paragraph(&mut text, label, &sentence);
        }
        f.write_str(text.trim_end())
    }
}

/// Adds a paragraph: the label, and the words of the sentence in lines that end in time.
fn paragraph(text: &mut String, label: &str, sentence: &str) {
    let mut line = format!("{label:INDENT$}");
    let mut is_fresh = true;
    for word in sentence.split(' ') {
        let len = line.chars().count() + 1 + word.chars().count();
        if !is_fresh && len > COLUMNS_MAX {
            text.push_str(line.trim_end());
            text.push('\n');
            line = " ".repeat(INDENT);
            is_fresh = true;
        }
        if !is_fresh {
            line.push(' ');
        }
        line.push_str(word);
        is_fresh = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

impl Diagnosis {
    /// The labels, each with its sentences.
    fn paragraphs(&self) -> Vec<(&'static str, String)> {
        let mut paragraphs = vec![
            ("driver", self.about_the_driver().to_owned()),
            ("reason", format!("{}.", capital(&self.reason))),
            ("kernel", self.about_the_kernel()),
            ("sysctl", self.about_the_sysctl()),
            ("seccomp", self.about_the_filter().to_owned()),
            ("memory", self.about_memory()),
            ("descriptors", self.about_descriptors()),
            ("cores", self.about_cores()),
            ("inside", self.about_surroundings()),
            ("features", self.about_features()),
        ];
        for feature in self.features.iter().filter(|feature| !feature.is_there()) {
            let (major, minor) = feature.since();
            let (name, without) = (feature.name(), feature.without());
            let missing = format!("{name} (Linux {major}.{minor}): without it, {without}.");
            paragraphs.push(("missing", missing));
        }
        let advice = self.advice.iter();
        paragraphs.extend(advice.map(|sentence| ("advice", sentence.clone())));
        paragraphs
    }

    fn about_the_driver(&self) -> &'static str {
        match self.driver {
            Some(DriverKind::Ring) => "A runtime uses the ring (io_uring).",
            Some(_) => {
                "A runtime uses epoll: sockets wait in epoll, and files go to helper threads."
            }
            None => "A runtime cannot be built.",
        }
    }

    fn about_the_kernel(&self) -> String {
        let release = &self.kernel_release;
        match &self.emulated {
            None => format!("Linux {release}."),
            Some(version) => {
                let hidden = format!("ANNULUS_KERNEL hides the features after {version}");
                format!("Linux {release}; {hidden}.")
            }
        }
    }

    fn about_the_sysctl(&self) -> String {
        let meaning = match self.io_uring_disabled {
            None => return "There is no kernel.io_uring_disabled here that could be read.".into(),
            Some(0) => "every process may use io_uring",
            Some(1) => "privileged processes and the group kernel.io_uring_group may use io_uring",
            Some(2) => "no process may use io_uring",
            Some(_) => "a value that is not known here",
        };
        let value = self.io_uring_disabled.unwrap_or_default();
        format!("kernel.io_uring_disabled is {value}: {meaning}.")
    }

    fn about_the_filter(&self) -> &'static str {
        match self.has_seccomp_filter {
            Some(true) => "A filter looks at the system calls of this process.",
            Some(false) => "No filter looks at the system calls of this process.",
            None => "The file /proc/self/status does not tell whether there is a filter.",
        }
    }

    fn about_memory(&self) -> String {
        let limit = self.locked_bytes.and_then(|limit| limit.soft);
        let counted = "rings count as locked memory on some kernels";
        match limit {
            Some(bytes) => format!("{} may be locked; {counted}.", amount(bytes)),
            None => format!("Locked memory has no limit; {counted}."),
        }
    }

    fn about_descriptors(&self) -> String {
        let unknown = ResourceLimit {
            soft: None,
            hard: None,
        };
        let limit = self.descriptors.unwrap_or(unknown);
        let Some(soft) = limit.soft else {
            return "Open descriptors have no limit.".to_owned();
        };
        let mut text = format!("{soft} may be open");
        match limit.hard {
            Some(hard) if hard <= soft => text.push_str(", and the hard limit is no higher"),
            Some(hard) => text.push_str(&format!(", which this process may raise to {hard}")),
            None => text.push_str(", which this process may raise"),
        }
        if let Some(possible) = self.descriptors_possible {
            text.push_str(&format!("; fs.nr_open allows limits up to {possible}"));
        }
        text + "."
    }

    fn about_cores(&self) -> String {
        let numbers: Vec<String> = self.affine_cores.iter().map(usize::to_string).collect();
        let affine = match &numbers[..] {
            [only] => format!("This process may run on processor {only}"),
            numbers => format!("This process may run on processors {}", numbers.join(", ")),
        };
        match self.quota_cores {
            None => format!("{affine}; no control group sets a quota."),
            Some(quota) => format!("{affine}; the control group's quota pays for {quota}."),
        }
    }

    fn about_surroundings(&self) -> String {
        let names: Vec<String> = self
            .surroundings
            .iter()
            .map(Surrounding::to_string)
            .collect();
        if names.is_empty() {
            return "No container and no sandbox was noticed.".to_owned();
        }
        format!("{}.", capital(&names.join(", ")))
    }

    fn about_features(&self) -> String {
        if self.features.is_empty() {
            return "Unknown, since there is no ring that could be asked.".to_owned();
        }
        let there = self.features.iter().filter(|feature| feature.is_there());
        let names: Vec<&str> = there.map(|feature| feature.name()).collect();
        let (count, all) = (names.len(), self.features.len());
        format!(
            "{count} of the {all} that annulus uses are there: {}.",
            names.join(", ")
        )
    }
}

/// The text as the beginning of a sentence. A name in small letters stays as it is.
fn capital(text: &str) -> String {
    if text.starts_with("io_uring") {
        return text.to_owned();
    }
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Bytes in the unit that leaves no fraction.
fn amount(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 && bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        bytes if bytes >= 1 << 10 && bytes % (1 << 10) == 0 => format!("{} KiB", bytes >> 10),
        bytes => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_indented_and_ends_in_time() {
        let mut text = String::new();
        paragraph(&mut text, "label", &"twelve bytes ".repeat(15));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("label        twelve bytes twelve"));
        assert!(lines[1].starts_with("             bytes twelve"), "{text}");
        assert!(
            lines
                .iter()
                .all(|line| line.len() <= COLUMNS_MAX && line == &line.trim_end())
        );
    }

    #[test]
    fn amounts_have_the_largest_unit_that_fits() {
        assert_eq!(amount(8 << 20), "8 MiB");
        assert_eq!(amount(64 << 10), "64 KiB");
        assert_eq!(amount(1500), "1500 bytes");
        assert_eq!(amount(0), "0 bytes");
    }

    #[test]
    fn the_report_has_each_subject_once_and_each_missing_feature() {
        let diagnosis = super::super::diagnose();
        let report = diagnosis.to_string();
        for label in [
            "driver",
            "reason",
            "kernel",
            "sysctl",
            "seccomp",
            "memory",
            "descriptors",
            "cores",
            "inside",
            "features",
        ] {
            let begin = |line: &&str| line.starts_with(&format!("{label} "));
            assert_eq!(
                report.lines().filter(begin).count(),
                1,
                "{label}:\n{report}"
            );
        }
        let missing = report.lines().filter(|line| line.starts_with("missing "));
        let absent = diagnosis
            .features()
            .iter()
            .filter(|feature| !feature.is_there());
        assert_eq!(missing.count(), absent.count(), "{report}");
        assert!(
            report
                .lines()
                .all(|line| line.chars().count() <= COLUMNS_MAX),
            "{report}"
        );
    }
}
