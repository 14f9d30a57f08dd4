//! [`Contract`]: the description of a data set that is also the running configuration. Store schema, validator,
//! permissions, sensitivity analysis and dictionary all come from it.

use disclosure_rules::{Rho, Rows, Value};

/// A text in English and, where given, Japanese.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bilingual {
    /// English.
    pub en: String,
    /// Japanese; empty where the file gives none.
    pub ja: String,
}

/// A published, versioned data set (DESIGN section 5). Built only by [`crate::datapackage::parse`], so that its
/// names are identifiers, its references resolve, and its ranges are not empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Contract {
    /// SQL identifier.
    pub name: String,
    /// Semantic version.
    pub version: semver::Version,
    /// What it is.
    pub title: Bilingual,
    /// `enclave:unit`: what the privacy unit is called, as in "pupil".
    pub unit: String,
    /// `enclave:poolRho`: ρ that all memoranda together may spend on this data set, ever. `None`: counted, not
    /// capped.
    pub pool_rho: Option<Rho>,
    /// The tables, in the file's order.
    pub tables: Vec<Table>,
}

/// One resource of the package.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// SQL identifier.
    pub name: String,
    /// `path`: the file a custodian delivers by default.
    pub path: Option<String>,
    /// What it is.
    pub title: Bilingual,
    /// How rows reach their pupil.
    pub lineage: Lineage,
    /// `enclave:maxRowsPerUnit`; `None`: no declared bound.
    pub max_rows_per_unit: Option<Rows>,
    /// `enclave:retentionYears`.
    pub retention_years: Option<u32>,
    /// `enclave:cohort`: the column that says when a pupil finishes compulsory education, a date of birth or a year.
    /// At most one table of a contract declares it, and that table names the pupil.
    pub cohort: Option<String>,
    /// Columns of the primary key; empty: none declared.
    pub primary_key: Vec<String>,
    /// Foreign keys to tables of the same contract.
    pub foreign_keys: Vec<ForeignKey>,
    /// The columns, in the file's order.
    pub columns: Vec<Column>,
}

/// How the rows of a table reach their pupil.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lineage {
    /// `enclave:public`: no pupil; fixed, published data.
    Public,
    /// This column names the pupil.
    Column(String),
    /// The declared foreign key to this table, followed until a table names the pupil.
    Via(String),
}

/// A declared foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Columns here.
    pub columns: Vec<String>,
    /// The table they refer to; the table itself where the file says `""`.
    pub table: String,
    /// Columns there: its primary key.
    pub references: Vec<String>,
}

/// One field of a schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// SQL identifier.
    pub name: String,
    /// What it is.
    pub title: Bilingual,
    /// Type of its values.
    pub kind: Kind,
    /// Unit, identifier or attribute.
    pub role: Role,
    /// `constraints.required`: never missing. Columns of a primary key are required.
    pub required: bool,
    /// `constraints.unique`.
    pub unique: bool,
    /// `constraints.minimum`: for dates, days since 1970-01-01.
    pub minimum: Option<f64>,
    /// `constraints.maximum`.
    pub maximum: Option<f64>,
    /// `constraints.enum` or `categories`, typed and without duplicates.
    pub codes: Option<Vec<Value>>,
    /// `constraints.pattern`, anchored at both ends; valid for the `regex` crate.
    pub pattern: Option<String>,
    /// `constraints.minLength`, in characters.
    pub min_length: Option<usize>,
    /// `constraints.maxLength`, in characters.
    pub max_length: Option<usize>,
    /// `enclave:step`: distance of the lattice that values are summed on; `None`: 1 for integers, else derived
    /// from the range.
    pub step: Option<f64>,
    /// `enclave:tier`.
    pub tier: Tier,
    /// `enclave:tags`.
    pub tags: Vec<String>,
}

/// Types of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `boolean`: true/false, 1/0 in CSV.
    Boolean,
    /// `integer` or `year`: 64 bits, signed.
    Integer,
    /// `number`: 64-bit float.
    Number,
    /// `string` (and `yearmonth`, as text `2026-04`).
    Text,
    /// `date`: ISO 8601.
    Date,
    /// `datetime`: ISO 8601, stored as microseconds without a zone.
    DateTime,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Boolean, Kind::Integer, Kind::Number, Kind::Text, Kind::Date, Kind::DateTime];

    /// As Data Package names it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Text => "string",
            Kind::Date => "date",
            Kind::DateTime => "datetime",
        }
    }
}

/// What a column is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Names the pupil; becomes the pseudonym.
    Unit,
    /// Goes to the identity store; never queryable.
    Identifier,
    /// Queryable under a memorandum.
    Attribute,
}

/// Sensitivity of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Ordinary.
    Standard,
    /// 要配慮.
    Sensitive,
    /// Only with the board.
    Restricted,
}

impl Tier {
    /// All tiers, the least sensitive first.
    pub const ALL: [Tier; 3] = [Tier::Standard, Tier::Sensitive, Tier::Restricted];

    /// As contracts write it.
    pub fn name(self) -> &'static str {
        match self {
            Tier::Standard => "standard",
            Tier::Sensitive => "sensitive",
            Tier::Restricted => "restricted",
        }
    }
}

impl Contract {
    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether rows belong to pupils.
    pub fn is_private(&self) -> bool {
        self.lineage != Lineage::Public
    }

    /// The column that names the pupil, if it is here.
    pub fn unit_column(&self) -> Option<&str> {
        match &self.lineage {
            Lineage::Column(name) => Some(name),
            _ => None,
        }
    }

    /// The foreign key of exactly these columns.
    pub fn foreign_key(&self, columns: &[&str]) -> Option<&ForeignKey> {
        self.foreign_keys
            .iter()
            .find(|key| key.columns.iter().map(String::as_str).eq(columns.iter().copied()))
    }
}

/// Largest integer range whose values are public group keys (DESIGN section 5).
pub const MAX_PUBLIC_RANGE: f64 = 1_000.0;

impl Column {
    /// All values that the contract lists for this column: its codes, false and true, or an integer range of at
    /// most [`MAX_PUBLIC_RANGE`] values. `None`: the values are not public. NULL is not among them.
    pub fn public_values(&self) -> Option<Vec<Value>> {
        if let Some(codes) = &self.codes {
            return Some(codes.clone());
        }
        match (self.kind, self.minimum, self.maximum) {
            (Kind::Boolean, ..) => Some(vec![Value::Bool(false), Value::Bool(true)]),
            (Kind::Integer, Some(low), Some(high)) if high - low < MAX_PUBLIC_RANGE => {
                Some((low.ceil() as i64..=high.floor() as i64).map(Value::Int).collect())
            }
            _ => None,
        }
    }

    /// Least and greatest value of a numeric or date column, from its range or its codes.
    pub fn range(&self) -> Option<(f64, f64)> {
        if let (Some(low), Some(high)) = (self.minimum, self.maximum) {
            return Some((low, high));
        }
        match (&self.codes, self.kind) {
            (_, Kind::Boolean) => Some((0.0, 1.0)),
            (Some(codes), Kind::Integer) => {
                let ints =
                    codes.iter().filter_map(|c| if let Value::Int(i) = c { Some(*i as f64) } else { None });
                Some((ints.clone().reduce(f64::min)?, ints.reduce(f64::max)?))
            }
            _ => None,
        }
    }
}
