//! [`Pupil`]: one child's two school years, with the findings that researchers may discover.
//!
//! Planted, besides plausible marginals (rates by grade after the ministry's 2023 survey of 不登校, 長期欠席 as 30
//! days or more in a school year):
//! - absences and lateness rise over the two or three months before a pupil stops coming to school; part of these
//!   early days is filed as illness;
//! - long-term absence and low wellbeing jump from grade 6 to grade 7 (中1ギャップ);
//! - pupils absent long-term report lower wellbeing, reach lower levels, and talk to counsellors more often;
//! - of those absent long-term in one year, two thirds are so in the next;
//! - a handful of absences for economic reasons: a small cell.

use chrono::{Datelike, Days, NaiveDate, Weekday};

use crate::chance::Chance;
use crate::city::{City, School};
use crate::names::{BOYS, GIRLS, SURNAMES};

/// School days of each month from April, as in a usual calendar.
pub const SCHOOL_DAYS: [u32; 12] = [16, 20, 21, 14, 4, 20, 21, 20, 17, 16, 19, 15];
/// Absent days in a school year from which the national surveys speak of long-term absence (長期欠席).
pub const LONG_TERM: u32 = 30;

/// Pupils of 10,000 who stay away from school (不登校), grades 1 to 9.
const NON_ATTENDANCE: [u32; 9] = [100, 150, 190, 230, 280, 330, 570, 720, 740];
/// Of 10,000 of them, how many still do so a year later.
const STILL_AWAY: u32 = 6_500;
/// An ordinary pupil-year ends below [`LONG_TERM`].
const MOST_ORDINARY_DAYS: u32 = 24;

/// A child, with all rows of all private tables.
#[derive(Debug, Clone)]
pub struct Pupil<'a> {
    /// Pupil number, such as `P-2024-000123`: the year of entering school and a serial number.
    pub number: String,
    /// Name: an identifier.
    pub name: String,
    /// Kana: an identifier.
    pub kana: String,
    /// Date of birth.
    pub birth_date: NaiveDate,
    /// `male` or `female`.
    pub sex: &'static str,
    /// Unique per pupil: an identifier. No number 090-0… is assigned in Japan.
    pub guardian_phone: String,
    /// One or two school years.
    pub years: Vec<Year<'a>>,
}

/// One school year of a pupil.
#[derive(Debug, Clone)]
pub struct Year<'a> {
    /// From April of this year.
    pub school_year: u32,
    /// School.
    pub school: &'a School,
    /// 1 to 9.
    pub grade: u32,
    /// 1 to 10.
    pub class: u32,
    /// In a special-needs class.
    pub special_needs: bool,
    /// From April to March.
    pub months: [Month; 12],
    /// Subject and level, where there is one.
    pub levels: Vec<(&'static str, Option<u32>)>,
    /// Four answers; `None`: did not take part.
    pub survey: Option<[Option<u32>; 4]>,
    /// Date, topic, with whom; dates differ.
    pub consultations: Vec<(NaiveDate, &'static str, &'static str)>,
}

/// One month of attendance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Month {
    /// Days absent.
    pub absent: u32,
    /// Days late.
    pub late: u32,
    /// Main reason; none without absence.
    pub reason: Option<&'static str>,
}

impl Year<'_> {
    /// Absent days from April to March.
    pub fn absent_days(&self) -> u32 {
        self.months.iter().map(|month| month.absent).sum()
    }
}

/// How a pupil attends in one school year.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attendance {
    Ordinary,
    /// Ill for three months from this one on.
    Illness(usize),
    /// Stays away from this month on, after a rise over three months.
    Leaving(usize),
    /// Stays away as in the year before.
    Away,
    /// Absent a day or so every week, for other reasons.
    Patchy,
}

/// What stays with a pupil over the years.
struct Traits {
    ability: f64,
    mood: f64,
    special_needs: bool,
}

pub(crate) fn generate(city: &City, at: u32, mut chance: Chance) -> Pupil<'_> {
    let entry_year = 2025 - City::grade_in_2024(at);
    let (sex, given) = if chance.happens(5_120) { ("male", &BOYS) } else { ("female", &GIRLS) };
    let ((surname, surname_kana), (given, given_kana)) = (chance.pick(&SURNAMES), chance.pick(given));
    let traits =
        Traits { ability: chance.normal(), mood: chance.normal(), special_needs: chance.happens(400) };
    let mut pupil = Pupil {
        number: format!("P-{entry_year}-{:06}", at + 1),
        name: format!("{surname} {given}"),
        kana: format!("{surname_kana} {given_kana}"),
        birth_date: birth_date(entry_year, &mut chance),
        sex,
        guardian_phone: phone(at),
        years: Vec::with_capacity(2),
    };
    let mut before = None;
    for school_year in [2024, 2025] {
        let Some(place) = city.place(at, school_year) else { continue };
        let attendance = attendance(place.grade, before, &mut chance);
        pupil.years.push(Year {
            school_year,
            school: place.school,
            grade: place.grade,
            class: place.class,
            special_needs: traits.special_needs,
            months: months(attendance, &mut chance),
            levels: levels(place.grade, attendance, &traits, &mut chance),
            survey: survey(place.grade, attendance, &traits, &mut chance),
            consultations: consultations(school_year, attendance, &mut chance),
        });
        before = Some(attendance);
    }
    pupil
}

/// Children enter school in the April after they turn six; 2 April is the first birthday of a grade.
fn birth_date(entry_year: u32, chance: &mut Chance) -> NaiveDate {
    let first = day(entry_year - 7, 4, 2);
    let last = day(entry_year - 6, 4, 1);
    first + Days::new(u64::from(chance.between(0, (last - first).num_days() as u32)))
}

fn day(year: u32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year as i32, month, day).unwrap_or_default()
}

/// 7654321 and 10⁷ have no common factor, so no two pupils share a number.
fn phone(at: u32) -> String {
    let scattered = (u64::from(at) * 7_654_321 + 1_234_567) % 10_000_000;
    format!("090-0{:03}-{:04}", scattered / 10_000, scattered % 10_000)
}

/// Two thirds of those away stay away; so many come anew that the rate of the grade holds in both years.
fn attendance(grade: u32, before: Option<Attendance>, chance: &mut Chance) -> Attendance {
    let rate = NON_ATTENDANCE[grade as usize - 1];
    let rate_before = if grade > 1 { NON_ATTENDANCE[grade as usize - 2] } else { 0 };
    let still = rate_before * STILL_AWAY / 10_000;
    let (away, leaving) = match before {
        None => (still, rate - still),
        Some(Attendance::Leaving(_) | Attendance::Away) => (STILL_AWAY, 0),
        Some(_) => (0, (rate - still) * 10_000 / (10_000 - rate_before)),
    };
    match chance.between(0, 9_999) {
        draw if draw < away => Attendance::Away,
        draw if draw < away + leaving => Attendance::Leaving(chance.pick(&[2, 3, 5, 5, 5, 6, 6, 7, 7, 8])),
        draw if draw < away + leaving + 80 => Attendance::Illness(chance.pick(&[0, 1, 5, 6, 7, 8])),
        draw if draw < away + leaving + 130 => Attendance::Patchy,
        _ => Attendance::Ordinary,
    }
}

fn months(attendance: Attendance, chance: &mut Chance) -> [Month; 12] {
    // How much of a month is missed, in percent, by one who stays away.
    let missed = chance.between(60, 95);
    let mut ordinary_days = 0;
    std::array::from_fn(|month| {
        let days = SCHOOL_DAYS[month];
        let share =
            |low: u32, high: u32, chance: &mut Chance| (days * chance.between(low, high)).div_ceil(100);
        let to_go = match attendance {
            Attendance::Leaving(onset) if month < onset => Some(onset - month),
            _ => None,
        };
        let (absent, late, reason) = match (attendance, to_go) {
            (Attendance::Leaving(_), Some(1)) => {
                (chance.between(4, 7), chance.between(2, 6), chance.pick(&["病気", "不登校"]))
            }
            (Attendance::Leaving(_), Some(2)) => (chance.between(2, 4), chance.between(1, 4), "病気"),
            (Attendance::Leaving(_), Some(3)) => (chance.between(1, 2), chance.between(0, 2), "病気"),
            (Attendance::Leaving(_), None) | (Attendance::Away, _) => {
                (share(missed - 5, missed + 5, chance), chance.between(0, 3), "不登校")
            }
            (Attendance::Illness(start), _) if (start..start + 3).contains(&month) => {
                (share(70, 100, chance), 0, "病気")
            }
            (Attendance::Patchy, _) => (share(20, 35, chance), chance.between(0, 3), "その他"),
            _ => {
                let absent = ordinary_absence(month, chance).min(MOST_ORDINARY_DAYS - ordinary_days);
                ordinary_days += absent;
                let late = if chance.happens(900) { chance.between(1, 3) } else { 0 };
                (absent, late, ordinary_reason(chance))
            }
        };
        let absent = absent.min(days);
        Month { absent, late: late.min(days - absent), reason: (absent > 0).then_some(reason) }
    })
}

/// Days absent of an ordinary pupil: one in four months, more often in the influenza season.
fn ordinary_absence(month: usize, chance: &mut Chance) -> u32 {
    let winter = if (8..=10).contains(&month) { 800 } else { 0 };
    match chance.between(0, 9_999) {
        draw if draw < 7_600 - winter => 0,
        draw if draw < 8_950 - winter / 2 => 1,
        draw if draw < 9_600 - winter / 4 => 2,
        draw if draw < 9_900 => 3,
        _ => chance.between(4, 5),
    }
}

fn ordinary_reason(chance: &mut Chance) -> &'static str {
    match chance.between(0, 9_999) {
        0..=1 => "経済的理由",
        2..=1_299 => "その他",
        _ => "病気",
    }
}

fn is_long_term(attendance: Attendance) -> bool {
    attendance != Attendance::Ordinary
}

/// First grade and last grade of a subject's assessment.
const SUBJECTS: [(&str, u32); 5] = [("国語", 1), ("算数・数学", 1), ("理科", 3), ("社会", 3), ("英語", 5)];

fn levels(
    grade: u32,
    attendance: Attendance,
    traits: &Traits,
    chance: &mut Chance,
) -> Vec<(&'static str, Option<u32>)> {
    let long_term = is_long_term(attendance);
    let mean =
        3.1 + 0.85 * traits.ability - if long_term { 0.9 } else { 0.0 } - if grade == 7 { 0.1 } else { 0.0 };
    let unassessed = if long_term { 2_000 } else { 60 };
    SUBJECTS
        .iter()
        .filter(|(_, first_grade)| grade >= *first_grade)
        .map(|(subject, _)| {
            let level = nearest(mean + 0.5 * chance.normal(), 5);
            (*subject, (!chance.happens(unassessed)).then_some(level))
        })
        .collect()
}

fn survey(
    grade: u32,
    attendance: Attendance,
    traits: &Traits,
    chance: &mut Chance,
) -> Option<[Option<u32>; 4]> {
    let long_term = is_long_term(attendance);
    let takes_part = !chance.happens(if long_term { 3_500 } else { 500 });
    let transition = if grade >= 7 { 0.2 } else { 0.0 } + if grade == 7 { 0.15 } else { 0.0 };
    let mean =
        3.25 + 0.45 * traits.mood - 0.02 * f64::from(grade) - transition - if long_term { 0.8 } else { 0.0 };
    let answers = std::array::from_fn(|_| {
        let answer = nearest(mean + 0.5 * chance.normal(), 4);
        (!chance.happens(200)).then_some(answer)
    });
    takes_part.then_some(answers)
}

/// The nearest whole number from 1 to `highest`.
fn nearest(score: f64, highest: u32) -> u32 {
    (score + 0.5).floor().clamp(1.0, f64::from(highest)) as u32
}

const TOPICS: [&str; 6] = ["友人関係", "学習", "家庭", "いじめ", "進路", "心身の健康"];
const COUNSELLORS: [&str; 4] = ["担任", "養護教諭", "スクールカウンセラー", "スクールソーシャルワーカー"];

fn consultations(
    school_year: u32,
    attendance: Attendance,
    chance: &mut Chance,
) -> Vec<(NaiveDate, &'static str, &'static str)> {
    let many = match attendance {
        Attendance::Ordinary if chance.happens(400) => chance.between(1, 2),
        Attendance::Ordinary => 0,
        _ if chance.happens(6_000) => chance.between(1, 5),
        _ => 0,
    };
    let mut consultations: Vec<(NaiveDate, &str, &str)> = Vec::new();
    for _ in 0..many {
        // Around the time when a pupil stops coming, else at any time.
        let month = match attendance {
            Attendance::Leaving(onset) => chance.between(onset as u32 - 1, onset as u32 + 2),
            _ => chance.between(0, 11),
        };
        let (year, month) = if month < 9 { (school_year, month + 4) } else { (school_year + 1, month - 8) };
        let date = weekday(day(year, month, chance.between(1, 28)));
        let (topic, counsellor) = (chance.pick(&TOPICS), chance.pick(&COUNSELLORS));
        if consultations.iter().all(|(other, ..)| *other != date) {
            consultations.push((date, topic, counsellor));
        }
    }
    consultations.sort_unstable();
    consultations
}

/// That day, or the Monday after a weekend. From the 28th at most to the 30th, so never past a school year.
fn weekday(date: NaiveDate) -> NaiveDate {
    match date.weekday() {
        Weekday::Sat => date + Days::new(2),
        Weekday::Sun => date + Days::new(1),
        _ => date,
    }
}
