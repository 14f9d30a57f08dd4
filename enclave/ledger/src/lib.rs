//! Accounts, the disclosure log, proofs
