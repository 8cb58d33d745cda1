//! Whether the owner's budgets have room for a call.

use std::sync::Arc;

use http::{Method, StatusCode};

use crate::dialect::call::Call;
use crate::dialect::endpoint::Endpoint;
use crate::exchange::caller::name_program;
use crate::exchange::fault::{Blame, Fault};
use crate::exchange::receipt::Booking;
use crate::ledger::Demand;
use crate::ledger::spending::Exceeded;
use crate::policy::assumption::assumed;
use crate::policy::budgets::Side;
use crate::policy::pricing::sale::Sale;
use crate::policy::target::Target;
use crate::units::Cost;

impl Booking {
    /// Reserves what the call may cost at its first target, until its last attempt is booked.
    ///
    /// # Errors
    /// A budget has no room for it; the refusal is booked.
    pub async fn afford(
        &mut self,
        target: &Target,
        method: &Method,
        path: &str,
        call: Option<&Call>,
    ) -> Result<(), Fault> {
        if !self.ledger.has_budgets() || !may_cost(&self.endpoint, method, path) {
            return Ok(());
        }
        if self.ledger.is_held_by(Side::Process) {
            self.program.settled().await;
            name_program(&mut self.client, &self.program);
        }
        let most = call.map(|call| self.most(target, call)).unwrap_or_default();
        let demand =
            Demand { client: &self.client, model: self.model.as_deref(), route: &target.route, most, now: self.time };
        match self.ledger.reserve(&demand) {
            Ok(hold) => {
                self.hold = hold.map(Arc::new);
                Ok(())
            }
            Err(exceeded) => {
                let fault = refusal(&exceeded);
                self.refuse(fault.status.as_u16(), &fault.message);
                Err(fault)
            }
        }
    }

    /// What a call may cost, by the price of its target; nothing where nobody can say.
    fn most(&self, target: &Target, call: &Call) -> Cost {
        let usage = assumed(call.dialect, call.text());
        let cost = |tier| {
            let sale = Sale { tier, usage: &usage, ..target.sale(self.model.as_deref(), &self.endpoint, self.time) };
            self.policy.prices.cost(&sale).map(|priced| priced.cost)
        };
        cost(self.tier.as_deref()).or_else(|| cost(None)).unwrap_or_default()
    }
}

/// Whether an operation can cost something: what only reads, lists or stops something does not.
fn may_cost(endpoint: &Endpoint, method: &Method, path: &str) -> bool {
    match endpoint {
        Endpoint::Call(dialect) => !dialect.is_free(),
        Endpoint::Socket(_) => true,
        Endpoint::Job(_) => method == Method::POST && !path.trim_end_matches('/').ends_with("/cancel"),
        Endpoint::Model(_) | Endpoint::Models | Endpoint::Opening(_) | Endpoint::Other => false,
    }
}

/// What OpenAI says where an account has run out of money; its clients do not try again.
fn refusal(exceeded: &Exceeded) -> Fault {
    Fault {
        blame: Blame::Quota,
        status: StatusCode::TOO_MANY_REQUESTS,
        code: Some("insufficient_quota"),
        param: None,
        message: exceeded.to_string(),
        retry: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::endpoint::{Dialect, Job, Socket};

    #[test]
    fn only_what_begins_something_is_held_to_budgets() {
        let batch = Endpoint::Job(Job::Batch);
        for (endpoint, method, path, costs) in [
            (Endpoint::Call(Dialect::Chat), Method::POST, "/v1/chat/completions", true),
            (Endpoint::Socket(Socket::Realtime), Method::GET, "/v1/realtime", true),
            (batch.clone(), Method::POST, "/v1/batches", true),
            (batch.clone(), Method::POST, "/v1/batches/b_1/cancel", false),
            (batch, Method::GET, "/v1/batches/b_1", false),
            (Endpoint::Models, Method::GET, "/v1/models", false),
            (Endpoint::Other, Method::POST, "/v1/files", false),
        ] {
            assert_eq!(may_cost(&endpoint, &method, path), costs, "{method} {path}");
        }
    }
}
