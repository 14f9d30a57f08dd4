//! [`City`]: districts, schools and pupils of an invented city, made from a seed as they are asked for.
//!
//! Every 2,000 pupils make a district with two elementary schools and one junior high school. A cohort of a district
//! is 200 pupils; ten cohorts cover the grades of both school years: one leaves grade 9 in March 2025, one enters
//! grade 1 in April 2025, grade 6 goes on to the district's junior high school.

use std::io;
use std::path::{Path, PathBuf};

use crate::chance::Chance;
use crate::names;
use crate::pupil::{self, Pupil};
use crate::school_code;
use crate::tables;

const PUPILS_PER_DISTRICT: u32 = 2_000;
/// Grade in school year 2024, from 0 (not yet at school) to 9.
const COHORTS: u32 = 10;
const COHORT_OF_DISTRICT: u32 = PUPILS_PER_DISTRICT / COHORTS;
const LARGEST_CLASS: u32 = 35;
const LARGEST_CITY: u32 = 1_000_000;

/// How many live there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CitySize {
    /// Children in the table `pupils`, over both school years: 1 to 1,000,000.
    pub pupils: u32,
}

impl Default for CitySize {
    /// 12,000 pupils in 12 elementary and 6 junior high schools.
    fn default() -> CitySize {
        CitySize { pupils: 12_000 }
    }
}

/// An invented city. Holds no pupils: each is made when asked for, so a million cost no memory.
#[derive(Debug, Clone)]
pub struct City {
    seed: u64,
    pupils: u32,
    districts: Vec<District>,
}

#[derive(Debug, Clone)]
struct District {
    /// Two elementary schools, then the junior high school.
    schools: [School; 3],
    /// How many of a cohort's 200 go to the first elementary school.
    first_elementary: u32,
}

/// A row of the public table `schools`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct School {
    /// National code, valid under [`school_code::is_valid`]; numbers from 9900001 on, which no real school has.
    pub code: String,
    /// Name.
    pub name: String,
    /// Name in kana.
    pub name_kana: String,
    /// `elementary` or `junior_high`.
    pub kind: &'static str,
    /// District of its junior high school.
    pub district: String,
    /// Year it opened.
    pub opened: u32,
}

/// Where a pupil goes to school in one school year.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) school: &'a School,
    pub(crate) grade: u32,
    pub(crate) class: u32,
}

impl City {
    /// The city of that seed. A size outside 1 to 1,000,000 is moved to the nearer end.
    pub fn generate(seed: u64, size: CitySize) -> City {
        let pupils = size.pupils.clamp(1, LARGEST_CITY);
        let mut chance = Chance::new(seed, 0);
        let districts =
            (0..pupils.div_ceil(PUPILS_PER_DISTRICT)).map(|at| District::new(at, &mut chance)).collect();
        City { seed, pupils, districts }
    }

    /// The schools, in the order of their districts.
    pub fn schools(&self) -> impl Iterator<Item = &School> {
        self.districts.iter().flat_map(|district| &district.schools)
    }

    /// The pupils with all their rows, one after the other.
    pub fn pupils(&self) -> impl Iterator<Item = Pupil<'_>> {
        (0..self.pupils).map(|at| pupil::generate(self, at, Chance::new(self.seed, u64::from(at) + 1)))
    }

    /// Writes one CSV file per table of the contract `city` into `dir`, named by the contract's paths; gives the
    /// paths in the contract's order.
    pub fn write_csv(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        tables::write(self, dir)
    }

    /// What must never leave an enclave that holds this city: every pupil's number, name, kana and telephone.
    pub fn planted_identifiers(&self) -> impl Iterator<Item = String> {
        self.pupils().flat_map(|pupil| [pupil.number, pupil.name, pupil.kana, pupil.guardian_phone])
    }

    /// The grade that a pupil is in, in school year 2024; 0: enters school a year later.
    pub(crate) fn grade_in_2024(at: u32) -> u32 {
        at % COHORTS
    }

    /// Where a pupil goes to school; `None` before grade 1 and after grade 9. Classes are mixed anew every year.
    pub(crate) fn place(&self, at: u32, school_year: u32) -> Option<Place<'_>> {
        let years_on = school_year - 2024;
        let grade = City::grade_in_2024(at) + years_on;
        let district = &self.districts[(at / PUPILS_PER_DISTRICT) as usize];
        let slot = at % PUPILS_PER_DISTRICT / COHORTS;
        let (school, slot, size) = match grade {
            1..=6 if slot < district.first_elementary => (0, slot, district.first_elementary),
            1..=6 => (1, slot - district.first_elementary, COHORT_OF_DISTRICT - district.first_elementary),
            7..=9 => (2, slot, COHORT_OF_DISTRICT),
            _ => return None,
        };
        let classes = size.div_ceil(LARGEST_CLASS);
        let class = (slot + slot / classes * years_on) % classes + 1;
        Some(Place { school: &district.schools[school], grade, class })
    }
}

impl District {
    fn new(at: u32, chance: &mut Chance) -> District {
        let names = names::DISTRICTS.len() as u32;
        let (kanji, kana) = names::DISTRICTS[(at % names) as usize];
        let district = if at < names { kanji.to_owned() } else { format!("{kanji}{}区", at / names + 1) };
        let mut school = |index: u32, kind: &'static str, prefix: &str, name: &str, name_kana: &str| School {
            code: code(prefix, at * 3 + index + 1),
            name: format!("{district}{name}"),
            name_kana: format!("{kana}{name_kana}"),
            kind,
            district: district.clone(),
            opened: chance.between(1947, 2005),
        };
        let schools = [
            school(0, "elementary", "B1202", "第一小学校", "ダイイチショウガッコウ"),
            school(1, "elementary", "B1202", "第二小学校", "ダイニショウガッコウ"),
            school(2, "junior_high", "C1202", "中学校", "チュウガッコウ"),
        ];
        District { schools, first_elementary: chance.between(80, 120) }
    }
}

fn code(prefix: &str, number: u32) -> String {
    let first_12 = format!("{prefix}{}", 9_900_000 + number);
    let check = school_code::check_character(&first_12).unwrap_or('0');
    format!("{first_12}{check}")
}
