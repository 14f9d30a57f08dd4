//! Published contracts, and an invented city that keeps to one of them: the same seed gives the same bytes on any
//! machine.
//!
//! Deliberately absent: the vault. This crate sees contracts and never a real record; no name, number, school or
//! telephone in it belongs to anyone.
//!
//! In reading order: the published formats (constants here) · [`City`] (who lives there, which tables they fill) ·
//! [`pupil`] (one child's two years, with the planted findings) · [`school_code`] (the national 13 characters) ·
//! [`demo`] (three questions to ask).

mod chance;
pub mod city;
pub mod demo;
mod names;
pub mod pupil;
pub mod school_code;
mod tables;

pub use city::{City, CitySize, School};

/// The contract `city`: seven tables of an invented city's education records.
pub const CITY_CONTRACT: &str = include_str!("../formats/city/datapackage.json");

/// The contract `star`: Project STAR, one table.
pub const STAR_CONTRACT: &str = include_str!("../formats/star/datapackage.json");

/// Two memoranda about the city: `city-absence` and `city-transition`.
pub const CITY_MEMORANDA: [&str; 2] = [
    include_str!("../../memoranda/examples/city-1.toml"),
    include_str!("../../memoranda/examples/city-2.toml"),
];
