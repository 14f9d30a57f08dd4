//! One column while it is read: every value is checked against the contract as it is appended.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use chrono::NaiveDateTime;
use disclosure_rules::Value;
use disclosure_rules::value::Day;
use memoranda::{Column, Kind, Table};
use regex::Regex;

use super::report::Wrong;
use crate::snapshot::is_required;

/// Builder and checks of one column.
pub(super) struct Cells {
    values: Values,
    required: bool,
    minimum: Option<f64>,
    maximum: Option<f64>,
    codes: Option<HashSet<Value>>,
    text_codes: Option<HashSet<String>>,
    pattern: Option<Regex>,
    min_length: Option<usize>,
    max_length: Option<usize>,
}

enum Values {
    Boolean(BooleanBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Text(StringBuilder),
    Date(Date32Builder),
    DateTime(TimestampMicrosecondBuilder),
}

const MICROS_PER_DAY: f64 = 86_400e6;

impl Cells {
    /// For a column of a table.
    pub(super) fn new(table: &Table, column: &Column) -> Result<Cells, regex::Error> {
        let pattern = column.pattern.as_ref().map(|pattern| Regex::new(&format!("^(?:{pattern})$")));
        Ok(Cells {
            values: match column.kind {
                Kind::Boolean => Values::Boolean(BooleanBuilder::new()),
                Kind::Integer => Values::Integer(Int64Builder::new()),
                Kind::Number => Values::Number(Float64Builder::new()),
                Kind::Text => Values::Text(StringBuilder::new()),
                Kind::Date => Values::Date(Date32Builder::new()),
                Kind::DateTime => Values::DateTime(TimestampMicrosecondBuilder::new()),
            },
            required: is_required(table, column),
            minimum: column.minimum,
            maximum: column.maximum,
            text_codes: column.codes.as_ref().map(|codes| codes.iter().map(Value::to_string).collect()),
            codes: column.codes.as_ref().map(|codes| codes.iter().cloned().collect()),
            pattern: pattern.transpose()?,
            min_length: column.min_length,
            max_length: column.max_length,
        })
    }

    /// The column so far; the next begins empty.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.values {
            Values::Boolean(builder) => Arc::new(builder.finish()),
            Values::Integer(builder) => Arc::new(builder.finish()),
            Values::Number(builder) => Arc::new(builder.finish()),
            Values::Text(builder) => Arc::new(builder.finish()),
            Values::Date(builder) => Arc::new(builder.finish()),
            Values::DateTime(builder) => Arc::new(builder.finish()),
        }
    }

    /// A field of a CSV file; empty is missing. Whatever comes back, one value was appended.
    pub(super) fn push_field(&mut self, field: &[u8]) -> Result<(), Wrong> {
        match std::str::from_utf8(field) {
            // U+FFFD stands for what does not decode; no other text in Shift_JIS gives it.
            Ok(text) if !text.contains('\u{FFFD}') => self.push_text(text),
            _ => self.refuse("encoding", "not text in the file's encoding"),
        }
    }

    /// A value written as text.
    pub(super) fn push_text(&mut self, text: &str) -> Result<(), Wrong> {
        if text.is_empty() {
            return self.push_null();
        }
        if let Values::Text(_) = self.values {
            return self.push_string(text);
        }
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        match &self.values {
            Values::Boolean(_) => match text {
                "true" | "TRUE" | "True" | "1" => self.push_bool(true),
                "false" | "FALSE" | "False" | "0" => self.push_bool(false),
                _ => self.refuse("type", "not a boolean: true, false, 1 or 0"),
            },
            Values::Integer(_) => match parse_integer(text) {
                Some(value) => self.push_i64(value),
                None => self.refuse("type", "not a whole number of 64 bits"),
            },
            Values::Number(_) => match text.parse() {
                Ok(value) => self.push_f64(value),
                Err(_) => self.refuse("type", "not a number"),
            },
            Values::Date(_) => match Day::parse(text) {
                Some(day) => self.push_date(day.0),
                None => self.refuse("type", "not a date of the form 2026-04-01"),
            },
            Values::DateTime(_) | Values::Text(_) => match parse_datetime(text) {
                Some(micros) => self.push_datetime(micros),
                None => self.refuse("type", "not a time of the form 2026-04-01T08:30:00, without a zone"),
            },
        }
    }

    /// A missing value.
    pub(super) fn push_null(&mut self) -> Result<(), Wrong> {
        if self.required {
            return self.refuse("required", "missing");
        }
        self.append_null();
        Ok(())
    }

    /// A truth value.
    pub(super) fn push_bool(&mut self, value: bool) -> Result<(), Wrong> {
        self.check_code(|| Value::Bool(value))?;
        match &mut self.values {
            Values::Boolean(builder) => builder.append_value(value),
            _ => return self.refuse_type(),
        }
        Ok(())
    }

    /// A whole number.
    pub(super) fn push_i64(&mut self, value: i64) -> Result<(), Wrong> {
        match &self.values {
            Values::Integer(_) => {}
            Values::Number(_) => return self.push_f64(value as f64),
            _ => return self.refuse_type(),
        }
        self.check_range(value as f64)?;
        self.check_code(|| Value::Int(value))?;
        if let Values::Integer(builder) = &mut self.values {
            builder.append_value(value);
        }
        Ok(())
    }

    /// A float.
    pub(super) fn push_f64(&mut self, value: f64) -> Result<(), Wrong> {
        match &self.values {
            Values::Number(_) => {}
            Values::Integer(_) if value.fract() == 0.0 && value.abs() < (1_u64 << 53) as f64 => {
                return self.push_i64(value as i64);
            }
            Values::Integer(_) => return self.refuse("type", "not a whole number of 64 bits"),
            _ => return self.refuse_type(),
        }
        if !value.is_finite() {
            return self.refuse("type", "not a finite number");
        }
        self.check_range(value)?;
        if value.fract() == 0.0 {
            self.check_code(|| Value::Int(value as i64))?;
        } else if self.codes.is_some() {
            return self.refuse_code();
        }
        if let Values::Number(builder) = &mut self.values {
            // One zero, so that equal values are equal bytes.
            builder.append_value(value + 0.0);
        }
        Ok(())
    }

    /// Days since 1970-01-01.
    pub(super) fn push_date(&mut self, days: i32) -> Result<(), Wrong> {
        self.check_range(f64::from(days))?;
        self.check_code(|| Value::Date(Day(days)))?;
        match &mut self.values {
            Values::Date(builder) => builder.append_value(days),
            _ => return self.refuse_type(),
        }
        Ok(())
    }

    /// Microseconds since 1970-01-01, without a zone.
    pub(super) fn push_datetime(&mut self, micros: i64) -> Result<(), Wrong> {
        self.check_range(micros as f64 / MICROS_PER_DAY)?;
        match &mut self.values {
            Values::DateTime(builder) => builder.append_value(micros),
            _ => return self.refuse_type(),
        }
        Ok(())
    }

    /// Text that is not empty.
    fn push_string(&mut self, text: &str) -> Result<(), Wrong> {
        if self.min_length.is_some() || self.max_length.is_some() {
            let length = text.chars().count();
            if let Some(least) = self.min_length.filter(|least| length < *least) {
                return self.refuse("minLength", format!("shorter than {least} characters"));
            }
            if let Some(most) = self.max_length.filter(|most| length > *most) {
                return self.refuse("maxLength", format!("longer than {most} characters"));
            }
        }
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            return self.refuse("pattern", "does not match the pattern");
        }
        if self.text_codes.as_ref().is_some_and(|codes| !codes.contains(text)) {
            return self.refuse_code();
        }
        match &mut self.values {
            Values::Text(builder) => builder.append_value(text),
            _ => return self.refuse_type(),
        }
        Ok(())
    }

    fn check_range(&mut self, value: f64) -> Result<(), Wrong> {
        // The limits are the contract's, and public; the value is neither.
        if let Some(least) = self.minimum.filter(|least| value < *least) {
            return self.refuse("minimum", format!("below the minimum {}", self.limit(least)));
        }
        if let Some(most) = self.maximum.filter(|most| value > *most) {
            return self.refuse("maximum", format!("above the maximum {}", self.limit(most)));
        }
        Ok(())
    }

    fn limit(&self, limit: f64) -> String {
        match self.values {
            Values::Date(_) | Values::DateTime(_) => Day(limit as i32).to_string(),
            _ => limit.to_string(),
        }
    }

    fn check_code(&mut self, value: impl Fn() -> Value) -> Result<(), Wrong> {
        match &self.codes {
            Some(codes) if !codes.contains(&value()) => self.refuse_code(),
            _ => Ok(()),
        }
    }

    fn refuse_code(&mut self) -> Result<(), Wrong> {
        self.refuse("enum", "not one of the listed codes")
    }

    fn refuse_type(&mut self) -> Result<(), Wrong> {
        self.refuse("type", "not a value of the column's type")
    }

    /// Keeps the columns of equal length, and says what is wrong.
    fn refuse(&mut self, rule: &'static str, message: impl Into<String>) -> Result<(), Wrong> {
        self.append_null();
        Err(Wrong::new(rule, message))
    }

    fn append_null(&mut self) {
        match &mut self.values {
            Values::Boolean(builder) => builder.append_null(),
            Values::Integer(builder) => builder.append_null(),
            Values::Number(builder) => builder.append_null(),
            Values::Text(builder) => builder.append_null(),
            Values::Date(builder) => builder.append_null(),
            Values::DateTime(builder) => builder.append_null(),
        }
    }
}

/// `3`, `-3`, and `3.0` as spreadsheets and data frames write it.
pub(super) fn parse_integer(text: &str) -> Option<i64> {
    match text.split_once('.') {
        None => text.parse().ok(),
        Some((whole, fraction)) => {
            let zeros = !fraction.is_empty() && fraction.bytes().all(|digit| digit == b'0');
            if zeros { whole.parse().ok() } else { None }
        }
    }
}

fn parse_datetime(text: &str) -> Option<i64> {
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    let time = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some(time.and_utc().timestamp_micros())
}
