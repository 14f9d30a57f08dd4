//! What the generator knows of the two contracts.

/// What can be done with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number; whether its values are few and known, so that it makes keys.
    Number(bool),
    /// Text, with two of its values; whether they are few.
    Text([&'static str; 2], bool),
    Flag,
    Day,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Kind)],
    /// The column that orders one pupil's rows.
    pub(crate) order: &'static str,
    /// The column that names a row of the public table.
    pub(crate) place: Option<&'static str>,
    /// Most rows of an ordinary pupil.
    pub(crate) rows: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Schema {
    pub(crate) tables: &'static [Table],
    pub(crate) public: Table,
    /// Whether the contract bounds the rows of a pupil.
    pub(crate) bounded: bool,
}

use Kind::{Day, Flag, Number, Text};

const YEAR: (&str, Kind) = ("school_year", Number(true));
const SCHOOL: (&str, Kind) = ("school", Text(["B1139910000010", "x"], false));
const GRADE: (&str, Kind) = ("grade", Number(true));

pub(crate) const CITY: Schema = Schema {
    bounded: true,
    public: Table {
        name: "schools",
        columns: &[
            ("kind", Text(["elementary", "junior_high"], true)),
            ("district", Text(["x", "y"], true)),
            ("opened", Number(false)),
        ],
        order: "code",
        place: None,
        rows: 0,
    },
    tables: &[
        Table {
            name: "attendance",
            columns: &[
                ("month", Text(["2025-04", "2024-09"], true)),
                YEAR,
                SCHOOL,
                GRADE,
                ("absent_days", Number(true)),
                ("late_days", Number(true)),
                ("reason", Text(["病気", "不登校"], true)),
            ],
            order: "month",
            place: Some("school"),
            rows: 24,
        },
        Table {
            name: "assessments",
            columns: &[
                YEAR,
                SCHOOL,
                GRADE,
                ("subject", Text(["国語", "英語"], true)),
                ("level", Number(true)),
            ],
            order: "subject",
            place: Some("school"),
            rows: 10,
        },
        Table {
            name: "surveys",
            columns: &[
                YEAR,
                SCHOOL,
                GRADE,
                ("enjoys_school", Number(true)),
                ("feels_safe", Number(true)),
                ("has_friend", Number(true)),
                ("asks_adult", Number(true)),
            ],
            order: "school_year",
            place: Some("school"),
            rows: 2,
        },
        Table {
            name: "enrolments",
            columns: &[YEAR, SCHOOL, GRADE, ("class", Number(true)), ("special_needs", Flag)],
            order: "school_year",
            place: Some("school"),
            rows: 2,
        },
        Table {
            name: "pupils",
            columns: &[("birth_date", Day), ("sex", Text(["male", "female"], true))],
            order: "birth_date",
            place: None,
            rows: 1,
        },
        Table {
            name: "consultations",
            columns: &[
                ("consulted_on", Day),
                YEAR,
                ("topic", Text(["いじめ", "家庭"], true)),
                ("counsellor", Text(["担任", "養護教諭"], true)),
            ],
            order: "consulted_on",
            place: None,
            rows: 12,
        },
    ],
};

pub(crate) const CLUB: Schema = Schema {
    bounded: false,
    public: Table {
        name: "places",
        columns: &[("area", Text(["north", "south"], true))],
        order: "place",
        place: None,
        rows: 0,
    },
    tables: &[Table {
        name: "visits",
        columns: &[
            ("kind", Text(["a", "b"], true)),
            ("place", Text(["hall", "pool"], true)),
            ("minutes", Number(false)),
            ("score", Number(false)),
            ("member", Flag),
            ("word", Text(["word", "other"], true)),
            ("big", Number(false)),
            ("ratio", Number(false)),
            ("day", Day),
        ],
        order: "minutes",
        place: Some("place"),
        rows: 2,
    }],
};
