//! Accounts: allotment, charged, balance; a pure state machine whose only step is [`Account::debit`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::loss::{Delta, Rho};

/// SHA-256 over the canonical form of a plan with its options: what was charged is what is released.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanDigest(pub [u8; 32]);

impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The price of one release: ρ, and the δ of a threshold where group keys are unknown (0 otherwise).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Zero-concentrated loss.
    pub rho: Rho,
    /// Chance that the threshold for unknown keys reveals a single pupil's key.
    pub threshold_delta: f64,
}

/// One account: a memorandum's, or a contract's pool. `None` as the limit counts without capping.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// ρ promised; `None` counts without a cap.
    pub allotment: Option<Rho>,
    /// ρ debited so far.
    pub charged: Rho,
    /// δ that thresholds may use in all; `None` counts without a cap.
    pub delta: Option<Delta>,
    /// δ that thresholds have used so far.
    pub delta_charged: f64,
}

/// The balance does not cover the price.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Exhausted {
    /// Not enough ρ.
    #[error("the price of {price} rho is more than the balance of {balance}")]
    Rho {
        /// What the release would cost.
        price: Rho,
        /// What is left.
        balance: Rho,
    },
    /// Not enough δ for another question with unknown group keys.
    #[error("no delta is left for another question whose group keys the contract does not list")]
    Delta,
}

impl Account {
    /// A fresh account.
    pub fn new(allotment: Option<Rho>, delta: Option<Delta>) -> Account {
        Account { allotment, charged: Rho::ZERO, delta, delta_charged: 0.0 }
    }

    /// What is left; `None` where there is no cap.
    pub fn balance(&self) -> Option<Rho> {
        self.allotment.map(|allotment| allotment.minus(self.charged).unwrap_or(Rho::ZERO))
    }

    /// The account after `cost`, or why it cannot be paid.
    pub fn debit(&self, cost: Cost) -> Result<Account, Exhausted> {
        if let Some(balance) = self.balance()
            && cost.rho > balance
        {
            return Err(Exhausted::Rho { price: cost.rho, balance });
        }
        let delta_charged = self.delta_charged + cost.threshold_delta;
        // A part in 10⁹ absorbs the rounding of adding up equal shares of δ.
        if let Some(delta) = self.delta
            && cost.threshold_delta > 0.0
            && delta_charged > delta.get() * (1.0 + 1e-9)
        {
            return Err(Exhausted::Delta);
        }
        Ok(Account { charged: self.charged.plus(cost.rho), delta_charged, ..*self })
    }
}

/// Evidence that a price was debited for one plan. Not `Clone`: [`release`](fn@crate::release) takes it by value, so that
/// one charge pays for one release.
#[derive(Debug)]
pub struct Charge {
    plan: PlanDigest,
    cost: Cost,
}

impl Charge {
    /// Debits `cost` from both accounts, the memorandum's and the pool's, or from neither. The caller makes the
    /// new accounts durable before it lets go of the charge.
    pub fn debit(
        plan: PlanDigest,
        cost: Cost,
        memorandum: &Account,
        pool: &Account,
    ) -> Result<(Account, Account, Charge), Exhausted> {
        Ok((memorandum.debit(cost)?, pool.debit(cost)?, Charge { plan, cost }))
    }

    /// The plan that was paid for.
    pub fn plan(&self) -> PlanDigest {
        self.plan
    }

    /// What was paid.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}
