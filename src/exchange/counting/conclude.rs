//! Books the end of an attempt, counted where nobody told what it cost and something may have been paid.

use crate::exchange::counting::reckoning::{Reckoning, Written};
use crate::exchange::counting::yardstick::Yardstick;
use crate::exchange::receipt::{End, Receipt};
use crate::ledger::entry::Outcome;
use crate::meter::reading::Reading;
use crate::units::Usage;

impl Receipt {
    /// Books the attempt: at once where its usage is known or cannot be, else as soon as it has been counted.
    pub fn conclude(&mut self, end: End<'_>, written: Written) {
        let may_have_cost = self.status() < 400 && is_unknown(&end.reading);
        let began = end.outcome != Outcome::UpstreamError || !written.transcript.is_empty();
        match self.take_reckoning().filter(|_| may_have_cost && began) {
            Some(reckoning) => self.close_counted(end, reckoning, written),
            None => self.close(end.outcome, Some(end.reading), end.error),
        }
    }

    /// Books the attempt as soon as `reckoning` has counted what nobody reported.
    fn close_counted(&mut self, end: End<'_>, reckoning: Reckoning, mut written: Written) {
        let End { outcome, mut reading, error } = end;
        let error: Option<Box<str>> = error.map(Into::into);
        written.served = self.served_by(reading.served_model.as_deref());
        written.whole &= reading.flaw.is_none() && reading.error.is_none();
        // Still a receipt, so that it is booked also where counting panics. The time that counting takes is not the
        // call's.
        let mut receipt = self.handed_over();
        reckoning.hand(written, move |reckoning, mut written| {
            let silent = written.transcript.is_empty();
            // What goes on in the background is told later. A zero is a zero where nothing was said, and an error that
            // came before any text cost nothing.
            let is_over = !reading.extra.background && !reckoning.input.is_deferred();
            if is_over && (!silent || reading.usage.is_none() && reading.error.is_none()) {
                if reading.usage.is_some() && matches!(reckoning.yardstick, Yardstick::Model) {
                    reading.flaw = reading.flaw.or(Some("usage of nothing but zeros beside a text"));
                    written.whole = false;
                }
                reckoning.count(&written).fill(&mut reading);
            }
            receipt.close(outcome, Some(reading), error.as_deref());
        });
    }
}

/// Whether nobody told what the call cost: no usage, or nothing but zeros.
fn is_unknown(reading: &Reading) -> bool {
    reading.usage.is_none_or(|usage: Usage| usage.total() == 0 && usage.seconds.is_none())
}
