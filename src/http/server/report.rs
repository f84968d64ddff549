//! The counts of a server.

use std::{fmt, iter::Sum};

use super::end_reason::EndReason;
use crate::task::JoinError;

/// The counts of a server from its start to its end. It prints as one line.
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
    /// Requests whose client left before it had its answer.
    pub left: u64,
    /// Idle connections that were closed to make room for others.
    pub evicted: u64,
    /// Idle connections that were closed because nothing came for too long.
    pub timed_out: u64,
    /// Times that accepting paused because every connection was busy.
    pub pauses: u64,
    /// The number of accepts that failed because descriptors or memory had run out.
    pub exhausted: u64,
    /// Background jobs that panicked.
    pub jobs_panicked: u64,
    /// Background jobs that the deadline, or a second order to stop, cut off.
    pub jobs_cut: u64,
    refusals: Vec<(EndReason, u64)>,
}

impl Report {
    /// Returns how often the server refused a request or cut an answer off, for each reason and in
    /// the order in which the reasons came up first.
    #[must_use]
    pub fn refusals(&self) -> &[(EndReason, u64)] {
        &self.refusals
    }

    /// Returns how often the server refused a request.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.count_of(false)
    }

    /// Returns how many answers failed: their handler returned an error or panicked, or they were
    /// cut off.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.count_of(true)
    }

    fn of(&self, is_failure: bool) -> impl Iterator<Item = (EndReason, u64)> {
        let all = self.refusals.iter().copied();
        all.filter(move |(reason, _)| self::is_failure(*reason) == is_failure)
    }

    fn count_of(&self, is_failure: bool) -> u64 {
        self.of(is_failure).map(|(_, count)| count).sum()
    }

    pub(super) fn count_refusal(&mut self, reason: EndReason) {
        if reason == EndReason::ClientGone {
            self.left += 1;
        } else {
            self.add_refusals(reason, 1);
        }
    }

    pub(super) fn count_job(&mut self, ended: &Result<(), JoinError>) {
        if ended.as_ref().is_err_and(JoinError::is_panic) {
            self.jobs_panicked += 1;
        }
    }

    fn write_reasons(&self, f: &mut fmt::Formatter<'_>, is_failure: bool) -> fmt::Result {
        let mut before = " (";
        for (reason, count) in self.of(is_failure) {
            write!(f, "{before}{} {count}", reason.as_str())?;
            before = ", ";
        }
        f.write_str(if before == ", " { ")" } else { "" })
    }

    /// Adds what another worker did.
    pub(super) fn add(&mut self, other: &Self) {
        self.finished += other.finished;
        self.cut += other.cut;
        self.accepted += other.accepted;
        self.answered += other.answered;
        self.left += other.left;
        self.evicted += other.evicted;
        self.timed_out += other.timed_out;
        self.pauses += other.pauses;
        self.exhausted += other.exhausted;
        self.jobs_panicked += other.jobs_panicked;
        self.jobs_cut += other.jobs_cut;
        for &(reason, count) in &other.refusals {
            self.add_refusals(reason, count);
        }
    }

    fn add_refusals(&mut self, reason: EndReason, added: u64) {
        match self.refusals.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += added,
            None => self.refusals.push((reason, added)),
        }
    }
}

/// The counts of several workers, or of several servers, together.
impl Sum for Report {
    fn sum<I: Iterator<Item = Self>>(reports: I) -> Self {
        let mut sum = Self::default();
        reports.for_each(|report| sum.add(&report));
        sum
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
        self.write_reasons(f, false)?;
        if self.failed() > 0 {
            write!(f, ", {} failed", self.failed())?;
            self.write_reasons(f, true)?;
        }
        let rare = [
            ("left by their clients", self.left),
            ("evicted", self.evicted),
            ("timed out", self.timed_out),
            ("pauses", self.pauses),
            ("failed accepts", self.exhausted),
            ("panics of jobs", self.jobs_panicked),
            ("jobs cut", self.jobs_cut),
        ];
        for (name, count) in rare.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, ", {count} {name}")?;
        }
        let (finished, cut) = (self.finished, self.cut);
        write!(f, "; {finished} finished during the stop, {cut} cut")
    }
}

/// Whether a reason is about an answer that failed, and not about a request that was refused.
fn is_failure(reason: EndReason) -> bool {
    matches!(
        reason,
        EndReason::HandlerFailed | EndReason::AnswerCut | EndReason::WriteTimeout
    )
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
        other.count_refusal(EndReason::Misdirected);
        other.count_refusal(EndReason::HeadTimeout);
        report.count_refusal(EndReason::HeadTimeout);
        report.add(&other);
        assert_eq!(
            report.to_string(),
            "5 connections accepted, 7 requests answered, 3 refused (head-timeout 2, \
             misdirected 1), 3 evicted; 1 finished during the stop, 2 cut"
        );
    }

    #[test]
    fn who_left_was_not_refused_and_an_answer_that_failed_neither() {
        let mut report = Report::default();
        for reason in [
            EndReason::ClientGone,
            EndReason::AnswerCut,
            EndReason::Misdirected,
            EndReason::ClientGone,
            EndReason::HandlerFailed,
        ] {
            report.count_refusal(reason);
        }
        let mut sum = Report::default();
        sum.add(&report);
        assert_eq!((sum.refused(), sum.failed(), sum.left), (1, 2, 2));
        assert_eq!(
            sum.to_string(),
            "0 connections accepted, 0 requests answered, 1 refused (misdirected 1), 2 failed \
             (answer-cut 1, handler-failed 1), 2 left by their clients; 0 finished during the stop, \
             0 cut"
        );
    }
}
