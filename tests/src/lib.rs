//! What crosses crates: journeys, attacks, benches
