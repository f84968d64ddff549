//! What a server did.

use std::fmt;

use super::RejectReason;

/// What a server did until it ended. It prints as one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Connections with a request under way when the stop began, or later, that ended by
    /// themselves.
    pub finished: u64,
    /// Connections with a request under way that the deadline, or a second order to stop, cut off.
    pub cut: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Requests that were answered, also those that were refused once their head was read.
    pub answered: u64,
    /// Idle connections that were closed to make room for others.
    pub evicted: u64,
    /// Idle connections that were closed because nothing came for too long.
    pub timed_out: u64,
    /// Times that accepting paused because every connection was busy.
    pub pauses: u64,
    /// Times that an accept failed for want of descriptors or memory.
    pub exhausted: u64,
    refusals: Vec<(RejectReason, u64)>,
}

impl Report {
    /// How often the server refused a request, or bytes that were none, or cut an answer off, for
    /// each reason and in the order in which the reasons came up first.
    #[must_use]
    pub fn refusals(&self) -> &[(RejectReason, u64)] {
        &self.refusals
    }

    /// How often it did so for any reason.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refusals.iter().map(|(_, count)| count).sum()
    }

    pub(super) fn count_refusal(&mut self, reason: RejectReason) {
        self.add_refusals(reason, 1);
    }

    /// Adds what another worker did.
    pub(super) fn add(&mut self, other: &Self) {
        self.finished += other.finished;
        self.cut += other.cut;
        self.accepted += other.accepted;
        self.answered += other.answered;
        self.evicted += other.evicted;
        self.timed_out += other.timed_out;
        self.pauses += other.pauses;
        self.exhausted += other.exhausted;
        for &(reason, count) in &other.refusals {
            self.add_refusals(reason, count);
        }
    }

    fn add_refusals(&mut self, reason: RejectReason, added: u64) {
        match self.refusals.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += added,
            None => self.refusals.push((reason, added)),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} connections accepted, {} requests answered, {} refused",
            self.accepted,
            self.answered,
            self.refused()
        )?;
        for (index, (reason, count)) in self.refusals.iter().enumerate() {
            let before = if index == 0 { " (" } else { ", " };
            write!(f, "{before}{} {count}", reason.as_str())?;
        }
        if !self.refusals.is_empty() {
            f.write_str(")")?;
        }
        let rare = [
            ("evicted", self.evicted),
            ("timed out", self.timed_out),
            ("pauses", self.pauses),
            ("failed accepts", self.exhausted),
        ];
        for (name, count) in rare.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, ", {count} {name}")?;
        }
        let (finished, cut) = (self.finished, self.cut);
        write!(f, "; {finished} finished during the stop, {cut} cut")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_as_one_line() {
        let mut report = Report {
            accepted: 5,
            answered: 7,
            ..Report::default()
        };
        let plain = "5 connections accepted, 7 requests answered, 0 refused; 0 finished during the \
             stop, 0 cut";
        assert_eq!(report.to_string(), plain);
        let mut other = Report {
            finished: 1,
            cut: 2,
            evicted: 3,
            ..Report::default()
        };
        other.count_refusal(RejectReason::HostMissing);
        other.count_refusal(RejectReason::HeadTimeout);
        report.count_refusal(RejectReason::HeadTimeout);
        report.add(&other);
        assert_eq!(
            report.to_string(),
            "5 connections accepted, 7 requests answered, 3 refused (head-timeout 2, \
             host-missing 1), 3 evicted; 1 finished during the stop, 2 cut"
        );
    }
}
