//! The city as CSV files, one per table of the contract, in one pass over the pupils.
//!
//! No value needs quoting: all come from the fixed lists and number forms of this crate.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::city::City;
use crate::pupil::{Pupil, Year};

/// File name and header, in the contract's order.
const TABLES: [(&str, &str); 7] = [
    ("schools.csv", "code,name,name_kana,kind,district,opened"),
    ("pupils.csv", "pupil,name,kana,birth_date,sex,guardian_phone"),
    ("enrolments.csv", "pupil,school_year,school,grade,class,special_needs"),
    ("attendance.csv", "pupil,month,school_year,school,grade,absent_days,late_days,reason"),
    ("assessments.csv", "pupil,school_year,school,grade,subject,level"),
    ("surveys.csv", "pupil,school_year,school,grade,enjoys_school,feels_safe,has_friend,asks_adult"),
    ("consultations.csv", "pupil,consulted_on,school_year,topic,counsellor"),
];

type Csv = BufWriter<File>;

pub(crate) fn write(city: &City, dir: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = TABLES.map(|(name, _)| dir.join(name));
    let mut files: Vec<Csv> = Vec::with_capacity(TABLES.len());
    for (path, (_, header)) in paths.iter().zip(TABLES) {
        let mut file = BufWriter::with_capacity(1 << 18, File::create(path)?);
        writeln!(file, "{header}")?;
        files.push(file);
    }
    if let [schools, pupils, enrolments, attendance, assessments, surveys, consultations] =
        files.as_mut_slice()
    {
        for s in city.schools() {
            writeln!(
                schools,
                "{},{},{},{},{},{}",
                s.code, s.name, s.name_kana, s.kind, s.district, s.opened
            )?;
        }
        for pupil in city.pupils() {
            write_pupil(pupils, &pupil)?;
            for year in &pupil.years {
                write_enrolment(enrolments, &pupil, year)?;
                write_attendance(attendance, &pupil, year)?;
                write_assessments(assessments, &pupil, year)?;
                write_survey(surveys, &pupil, year)?;
                write_consultations(consultations, &pupil, year)?;
            }
        }
    }
    files.iter_mut().try_for_each(|file| file.flush())?;
    Ok(paths.into())
}

fn write_pupil(csv: &mut Csv, p: &Pupil<'_>) -> io::Result<()> {
    writeln!(csv, "{},{},{},{},{},{}", p.number, p.name, p.kana, p.birth_date, p.sex, p.guardian_phone)
}

fn write_enrolment(csv: &mut Csv, p: &Pupil<'_>, y: &Year<'_>) -> io::Result<()> {
    let (number, code) = (&p.number, &y.school.code);
    writeln!(csv, "{number},{},{code},{},{},{}", y.school_year, y.grade, y.class, y.special_needs)
}

fn write_attendance(csv: &mut Csv, p: &Pupil<'_>, y: &Year<'_>) -> io::Result<()> {
    let (number, code) = (&p.number, &y.school.code);
    for (at, month) in (0..).zip(&y.months) {
        let (year, of_year) = if at < 9 { (y.school_year, at + 4) } else { (y.school_year + 1, at - 8) };
        writeln!(
            csv,
            "{number},{year}-{of_year:02},{},{code},{},{},{},{}",
            y.school_year,
            y.grade,
            month.absent,
            month.late,
            month.reason.unwrap_or_default()
        )?;
    }
    Ok(())
}

fn write_assessments(csv: &mut Csv, p: &Pupil<'_>, y: &Year<'_>) -> io::Result<()> {
    let (number, code) = (&p.number, &y.school.code);
    y.levels.iter().try_for_each(|(subject, level)| {
        writeln!(csv, "{number},{},{code},{},{subject},{}", y.school_year, y.grade, or_empty(*level))
    })
}

fn write_survey(csv: &mut Csv, p: &Pupil<'_>, y: &Year<'_>) -> io::Result<()> {
    let Some([enjoys, safe, friend, adult]) = y.survey.map(|answers| answers.map(or_empty)) else {
        return Ok(());
    };
    let (number, code) = (&p.number, &y.school.code);
    writeln!(csv, "{number},{},{code},{},{enjoys},{safe},{friend},{adult}", y.school_year, y.grade)
}

fn write_consultations(csv: &mut Csv, p: &Pupil<'_>, y: &Year<'_>) -> io::Result<()> {
    y.consultations.iter().try_for_each(|(date, topic, counsellor)| {
        writeln!(csv, "{},{date},{},{topic},{counsellor}", p.number, y.school_year)
    })
}

/// Empty is missing (DESIGN section 5).
fn or_empty<T: Display>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
