//! Accounts: allotment, charged, balance; a pure state machine whose only step is [`Account::debit`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::loss::{Delta, Epsilon, OutOfRange, Rho};
use crate::measure::Guarantee;

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

/// Pure privacy loss ε in whole millionths, so that charges add up exactly: 0 to 2.8·10⁶, whose ρ is in range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct PureEpsilon(u64);

impl PureEpsilon {
    /// No loss.
    pub const ZERO: PureEpsilon = PureEpsilon(0);
    /// ε²/2 is 4·10¹² here.
    const MAX_MICRO: u64 = 2_828_427_124_746;

    /// The least number of millionths that is at least `epsilon`: for charges.
    pub fn at_least(epsilon: Epsilon) -> Result<PureEpsilon, OutOfRange> {
        Self::rounded(epsilon, f64::ceil)
    }

    /// The greatest number of millionths that is at most `epsilon`: for allotments.
    pub fn at_most(epsilon: Epsilon) -> Result<PureEpsilon, OutOfRange> {
        Self::rounded(epsilon, f64::floor)
    }

    fn rounded(epsilon: Epsilon, round: fn(f64) -> f64) -> Result<PureEpsilon, OutOfRange> {
        Rho::at_most(epsilon.get().powi(2) / 2.0)?;
        // As for ρ: a float product a hair off a whole number is that number.
        let micro = epsilon.get() * 1e6;
        let nearest = micro.round();
        let micro = if (micro - nearest).abs() <= 1e-9 * nearest { nearest } else { round(micro) };
        Ok(PureEpsilon((micro as u64).min(Self::MAX_MICRO)))
    }

    /// From whole millionths, as the ledger stores it; `None` out of range.
    pub fn from_micro(micro: u64) -> Option<PureEpsilon> {
        (micro <= Self::MAX_MICRO).then_some(PureEpsilon(micro))
    }

    /// The largest ε whose [`rho`](PureEpsilon::rho) is at most `rho`, rounded down.
    pub fn within(rho: Rho) -> PureEpsilon {
        let epsilon = (u128::from(rho.micro()) * 2_000_000).isqrt() as u64;
        PureEpsilon(epsilon.min(Self::MAX_MICRO))
    }

    /// In whole millionths.
    pub fn micro(self) -> u64 {
        self.0
    }

    /// As a float.
    pub fn get(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// What a charge of this ε buys, and the pool counts.
    ///
    /// # Privacy
    /// ρ = ε²/2 (Bun and Steinke 2016, proposition 1.4), rounded down: the noise is of this ρ, so that it is
    /// √(2ρ)-DP, which is at most ε, and ρ-zCDP.
    pub fn rho(self) -> Rho {
        // In the range of ρ, as the largest ε is chosen.
        let micro = u128::from(self.0).pow(2) / 2_000_000;
        Rho::from_micro(micro as u64).unwrap_or_default()
    }

    /// Sequential composition: losses add.
    fn plus(self, other: PureEpsilon) -> PureEpsilon {
        PureEpsilon((self.0 + other.0).min(Self::MAX_MICRO))
    }
}

impl TryFrom<f64> for PureEpsilon {
    type Error = OutOfRange;
    fn try_from(epsilon: f64) -> Result<Self, Self::Error> {
        if epsilon == 0.0 { Ok(PureEpsilon::ZERO) } else { PureEpsilon::at_least(Epsilon::new(epsilon)?) }
    }
}

impl From<PureEpsilon> for f64 {
    fn from(epsilon: PureEpsilon) -> f64 {
        epsilon.get()
    }
}

impl fmt::Display for PureEpsilon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.get())
    }
}

/// The price of one question, in the unit of its memorandum's account.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// ρ, and δ for thresholds.
    Concentrated(Cost),
    /// ε, without any δ.
    Pure(PureEpsilon),
}

impl Loss {
    /// What the pool counts, and what the release may spend.
    pub fn cost(&self) -> Cost {
        match self {
            Loss::Concentrated(cost) => *cost,
            Loss::Pure(epsilon) => Cost { rho: epsilon.rho(), threshold_delta: 0.0 },
        }
    }

    /// The ε of a pure price.
    pub fn epsilon(&self) -> Option<PureEpsilon> {
        match self {
            Loss::Concentrated(_) => None,
            Loss::Pure(epsilon) => Some(*epsilon),
        }
    }
}

impl From<Cost> for Loss {
    fn from(cost: Cost) -> Loss {
        Loss::Concentrated(cost)
    }
}

/// One account: a memorandum's, or a contract's pool. `None` as the limit counts without capping.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// ρ promised; `None` counts without a cap. Of a pure account, the ρ of all its ε at once.
    pub allotment: Option<Rho>,
    /// ρ debited so far, as the pool counts it.
    pub charged: Rho,
    /// δ that thresholds may use in all; `None` counts without a cap.
    pub delta: Option<Delta>,
    /// δ that thresholds have used so far.
    pub delta_charged: f64,
    /// Set where losses are pure: they add up as ε, and ε is what caps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pure: Option<PureLosses>,
}

/// What a pure account has in ε.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PureLosses {
    /// ε promised.
    pub allotment: PureEpsilon,
    /// ε debited so far.
    pub charged: PureEpsilon,
}

impl PureLosses {
    /// What is left.
    pub fn balance(&self) -> PureEpsilon {
        PureEpsilon(self.allotment.0.saturating_sub(self.charged.0))
    }

    fn debit(self, price: PureEpsilon) -> Result<PureLosses, Exhausted> {
        let balance = self.balance();
        if price > balance {
            return Err(Exhausted::Epsilon { price, balance });
        }
        Ok(PureLosses { charged: self.charged.plus(price), ..self })
    }
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
    /// Not enough ε, where losses are pure.
    #[error("the price of {price} epsilon is more than the balance of {balance}")]
    Epsilon {
        /// What the release would cost.
        price: PureEpsilon,
        /// What is left.
        balance: PureEpsilon,
    },
    /// A price in ρ, for which no ε is enough.
    #[error("the memorandum is pure: it pays in epsilon only")]
    NotPure,
    /// Not enough δ for another question with unknown group keys.
    #[error("no delta is left for another question whose group keys the contract does not list")]
    Delta,
}

impl Account {
    /// A fresh account.
    pub fn new(allotment: Option<Rho>, delta: Option<Delta>) -> Account {
        Account { allotment, charged: Rho::ZERO, delta, delta_charged: 0.0, pure: None }
    }

    /// A fresh account of a memorandum whose losses are pure.
    pub fn pure(allotment: PureEpsilon) -> Account {
        let pure = Some(PureLosses { allotment, charged: PureEpsilon::ZERO });
        Account { pure, ..Account::new(Some(allotment.rho()), None) }
    }

    /// What is left; `None` where there is no cap. Of a pure account, the ρ of what is left of its ε.
    pub fn balance(&self) -> Option<Rho> {
        if let Some(pure) = self.pure {
            return Some(pure.balance().rho());
        }
        self.allotment.map(|allotment| allotment.minus(self.charged).unwrap_or(Rho::ZERO))
    }

    /// The account after a price, or why it cannot be paid.
    ///
    /// # Privacy
    /// Concentrated losses add as ρ, pure ones as ε. An account in ρ takes a pure loss as ρ = ε²/2; an account
    /// in ε takes no loss in ρ, for which no ε is enough. Where ε is the cap, Σεᵢ²/2 ≤ (Σεᵢ)²/2 keeps the sum
    /// of ρ within the allotment's.
    pub fn debit(&self, loss: impl Into<Loss>) -> Result<Account, Exhausted> {
        let loss = loss.into();
        let pure = match (self.pure, loss) {
            (None, _) => None,
            (Some(pure), Loss::Pure(epsilon)) => Some(pure.debit(epsilon)?),
            (Some(_), Loss::Concentrated(_)) => return Err(Exhausted::NotPure),
        };
        let cost = loss.cost();
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
        Ok(Account { charged: self.charged.plus(cost.rho), delta_charged, pure, ..*self })
    }
}

/// Evidence that a price was debited for one plan. Not `Clone`: [`release`](fn@crate::release) takes it by
/// value, so that one charge pays for one release.
#[derive(Debug)]
pub struct Charge {
    plan: PlanDigest,
    cost: Cost,
    /// The only guarantee that it pays for: a part's is the one in which the parts add up, a pure charge's is
    /// its own. `None`: any.
    only: Option<Guarantee>,
    /// Whether it is one of several parts.
    part: bool,
}

impl Charge {
    /// Debits a price from both accounts, the memorandum's and the pool's, or from neither. The caller makes
    /// the new accounts durable before it lets go of the charge.
    pub fn debit(
        plan: PlanDigest,
        loss: impl Into<Loss>,
        memorandum: &Account,
        pool: &Account,
    ) -> Result<(Account, Account, Charge), Exhausted> {
        let loss = loss.into();
        let only = loss.epsilon().map(|_| Guarantee::Pure);
        let charge = Charge { plan, cost: loss.cost(), only, part: false };
        Ok((memorandum.debit(loss)?, pool.debit(loss)?, charge))
    }

    /// The plan that was paid for.
    pub fn plan(&self) -> PlanDigest {
        self.plan
    }

    /// What was paid.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// Divides the charge over the stages of a question; `None` if they cost more than was paid.
    ///
    /// # Privacy
    /// Concentrated losses add, and so do the chances of the thresholds. Not for pure losses: these add as ε
    /// = √(2ρ), see [`Charge::split_pure`].
    pub fn split(self, parts: &[(PlanDigest, Cost)]) -> Option<Vec<Charge>> {
        let total = parts.iter().fold(Rho::ZERO, |sum, (_, cost)| sum.plus(cost.rho));
        (total <= self.cost.rho && self.pays_for(Guarantee::Concentrated)).then_some(())?;
        self.parts(Guarantee::Concentrated, parts)
    }

    /// Divides a charge of a question whose stages are pure.
    ///
    /// # Privacy
    /// Pure losses add as ε: Σ√(2ρᵢ) ≤ √(2ρ). A part in 10¹² absorbs the rounding of the roots; scales are
    /// raised by far more.
    pub fn split_pure(self, parts: &[(PlanDigest, Cost)]) -> Option<Vec<Charge>> {
        let total: f64 = parts.iter().map(|(_, cost)| cost.rho.get().sqrt()).sum();
        (total <= self.cost.rho.get().sqrt() * (1.0 + 1e-12)).then_some(())?;
        self.parts(Guarantee::Pure, parts)
    }

    fn parts(self, guarantee: Guarantee, parts: &[(PlanDigest, Cost)]) -> Option<Vec<Charge>> {
        let delta: f64 = parts.iter().map(|(_, cost)| cost.threshold_delta).sum();
        let fits = delta <= self.cost.threshold_delta * (1.0 + 1e-9) && !self.part;
        // The only part is as good as the whole.
        let several = parts.len() > 1;
        let only = if several { Some(guarantee) } else { self.only };
        let part = |&(plan, cost): &(PlanDigest, Cost)| Charge { plan, cost, only, part: several };
        fits.then(|| parts.iter().map(part).collect())
    }

    /// Whether it can pay for a release of this guarantee.
    pub(crate) fn pays_for(&self, guarantee: Guarantee) -> bool {
        self.only.is_none_or(|only| only == guarantee)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn charge(rho: f64, threshold_delta: f64) -> Charge {
        let cost = Cost { rho: Rho::at_least(rho).unwrap(), threshold_delta };
        let open = Account::new(None, None);
        Charge::debit(PlanDigest([0; 32]), cost, &open, &open).unwrap().2
    }

    fn parts(prices: &[f64], threshold_delta: f64) -> Vec<(PlanDigest, Cost)> {
        let cost = |rho: &f64| Cost { rho: Rho::at_least(*rho).unwrap(), threshold_delta };
        prices.iter().enumerate().map(|(i, rho)| (PlanDigest([i as u8 + 1; 32]), cost(rho))).collect()
    }

    #[test]
    fn parts_never_cost_more_than_was_paid() {
        let split = charge(0.1, 1e-6).split(&parts(&[0.04, 0.06], 5e-7)).unwrap();
        assert_eq!(split.iter().map(|part| part.plan().0[0]).collect::<Vec<_>>(), [1, 2]);
        assert!(charge(0.1, 1e-6).split(&parts(&[0.04, 0.060_001], 5e-7)).is_none(), "rho");
        assert!(charge(0.1, 1e-6).split(&parts(&[0.04, 0.06], 6e-7)).is_none(), "delta");
        let part = charge(0.1, 0.0).split(&parts(&[0.05, 0.05], 0.0)).unwrap().remove(0);
        assert!(part.split(&parts(&[0.1], 0.0)).is_none(), "a part is not divided again");
    }

    #[test]
    fn pure_parts_add_up_as_epsilon() {
        assert!(charge(0.1, 0.0).split_pure(&parts(&[0.025, 0.025], 0.0)).is_some());
        assert!(
            charge(0.1, 0.0).split_pure(&parts(&[0.05, 0.05], 0.0)).is_none(),
            "twice 0.22 is more than 0.32"
        );
        let part = charge(0.1, 0.0).split(&parts(&[0.05, 0.05], 0.0)).unwrap().remove(0);
        assert!(
            !part.pays_for(Guarantee::Pure),
            "a part of a concentrated charge is too dear for pure noise"
        );
        assert!(part.pays_for(Guarantee::Concentrated));
    }

    fn epsilon(epsilon: f64) -> PureEpsilon {
        PureEpsilon::at_most(Epsilon::new(epsilon).unwrap()).unwrap()
    }

    fn pure_charge(price: f64) -> Charge {
        let (own, pool) = (Account::pure(epsilon(3.0)), Account::new(None, None));
        Charge::debit(PlanDigest([0; 32]), Loss::Pure(epsilon(price)), &own, &pool).unwrap().2
    }

    #[test]
    fn a_pure_account_adds_up_epsilon_and_the_pool_its_rho() {
        let (mut own, mut pool) = (Account::pure(epsilon(3.0)), Account::new(None, None));
        for price in [1.0, 1.0] {
            let plan = PlanDigest([0; 32]);
            (own, pool, _) = Charge::debit(plan, Loss::Pure(epsilon(price)), &own, &pool).unwrap();
        }
        assert_eq!(own.pure.unwrap().balance(), epsilon(1.0), "as rho, 2 of 4.5 would be left");
        assert_eq!((pool.charged.get(), own.balance().unwrap().get()), (1.0, 0.5));
        let spent = own.debit(Loss::Pure(epsilon(1.5)));
        assert_eq!(spent, Err(Exhausted::Epsilon { price: epsilon(1.5), balance: epsilon(1.0) }));
        assert_eq!(own.debit(Loss::Pure(epsilon(1.0))).unwrap().pure.unwrap().balance(), PureEpsilon::ZERO);
        let cost = Cost { rho: Rho::at_least(1e-6).unwrap(), threshold_delta: 0.0 };
        assert_eq!(own.debit(cost), Err(Exhausted::NotPure));
    }

    #[test]
    fn a_pure_charge_pays_for_pure_releases_only() {
        assert!(!pure_charge(1.0).pays_for(Guarantee::Concentrated));
        assert!(charge(0.5, 0.0).pays_for(Guarantee::Concentrated), "as one in rho does");
        assert!(pure_charge(1.0).split(&parts(&[0.5], 0.0)).is_none());
        let whole = pure_charge(1.0).split_pure(&parts(&[0.5], 0.0)).unwrap().remove(0);
        assert!(whole.pays_for(Guarantee::Pure) && !whole.pays_for(Guarantee::Concentrated));
        assert!(pure_charge(1.0).split_pure(&parts(&[0.125, 0.125], 0.0)).is_some());
        assert!(pure_charge(1.0).split_pure(&parts(&[0.125, 0.126], 0.0)).is_none());
    }

    #[test]
    fn epsilon_and_rho_are_rounded_against_the_researcher() {
        for micro in [1, 999, 1_415, 100_001, 447_214, 1_000_000, PureEpsilon::MAX_MICRO] {
            let epsilon = PureEpsilon::from_micro(micro).unwrap();
            let (rho, square) = (epsilon.rho().micro(), u128::from(micro).pow(2));
            assert!(u128::from(rho) * 2_000_000 <= square && square < (u128::from(rho) + 1) * 2_000_000);
            assert!(PureEpsilon::within(epsilon.rho()) <= epsilon);
        }
        let at_least = |epsilon: f64| PureEpsilon::at_least(Epsilon::new(epsilon).unwrap());
        assert_eq!(at_least(1.000_000_1).unwrap().micro(), 1_000_001);
        assert_eq!(at_least(0.3).unwrap().micro(), 300_000);
        assert_eq!(epsilon(1.000_000_9).micro(), 1_000_000);
        assert!(at_least(2.9e6).is_err() && PureEpsilon::from_micro(PureEpsilon::MAX_MICRO + 1).is_none());
    }
}
