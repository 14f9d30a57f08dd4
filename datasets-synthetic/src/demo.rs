//! Three questions that show what the city has to tell. Each reads one private table, alone or with `schools`, and
//! its group keys are public.

/// A question of the demonstration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Question {
    /// Under which of [`crate::CITY_MEMORANDA`].
    pub memorandum: &'static str,
    /// Price in ρ.
    pub rho: f64,
    /// The SQL.
    pub sql: &'static str,
    /// What is asked, in English.
    pub title: &'static str,
    /// What is asked, in Japanese.
    pub title_ja: &'static str,
}

/// The three questions.
pub const QUESTIONS: [Question; 3] = [
    Question {
        memorandum: "city-absence",
        rho: 0.05,
        sql: "SELECT month, COUNT(*) AS n FROM attendance WHERE reason = '不登校' GROUP BY month ORDER BY month",
        title: "In which months do pupils stay away from school?",
        title_ja: "不登校による欠席は、どの月に増えるか",
    },
    Question {
        memorandum: "city-absence",
        rho: 0.05,
        sql: "SELECT schools.kind, COUNT(*) AS n, AVG(attendance.absent_days) AS absent \
              FROM attendance JOIN schools ON attendance.school = schools.code \
              WHERE attendance.school_year = 2025 GROUP BY schools.kind ORDER BY schools.kind",
        title: "How many days a month are pupils absent, in each kind of school?",
        title_ja: "学校種ごとに、月に何日欠席しているか",
    },
    Question {
        memorandum: "city-transition",
        rho: 0.05,
        sql: "SELECT grade, COUNT(*) AS n, AVG(enjoys_school) AS enjoys FROM surveys GROUP BY grade ORDER BY grade",
        title: "Does the joy of going to school change from elementary to junior high school?",
        title_ja: "小学校から中学校へ進むと「学校に行くのは楽しい」は変わるか",
    },
];
