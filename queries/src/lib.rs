//! What was asked, and why it is safe: SQL to PrivatePlan
