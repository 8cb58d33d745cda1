//! Whether a call has a known price, where the owner wants no other to be sent.

use http::StatusCode;

use crate::exchange::fault::Fault;
use crate::exchange::receipt::Booking;
use crate::policy::Unpriced;
use crate::policy::pricing::sale::Sale;
use crate::policy::target::Target;

impl Booking {
    /// Refuses a call that has no known price at its target, where such calls are to be refused.
    ///
    /// # Errors
    /// It has none; the refusal is booked.
    pub fn priced_at(&self, target: &Target) -> Result<(), Fault> {
        if self.may_go_to(target) {
            return Ok(());
        }
        self.refuse(StatusCode::BAD_REQUEST.as_u16(), "no known price");
        Err(Fault::unpriced(self.model.as_deref(), self.tier.as_deref(), target))
    }

    /// Whether the call has a known price at this target, or need not have one.
    pub fn may_go_to(&self, target: &Target) -> bool {
        if self.policy.unpriced == Unpriced::Book {
            return true;
        }
        let sale = target.sale(self.model.as_deref(), &self.endpoint, self.time);
        self.policy.prices.prices(&Sale { tier: self.tier.as_deref(), ..sale })
    }
}
