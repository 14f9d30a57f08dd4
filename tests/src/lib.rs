//! What the tests that cross crates share: a home with contract, records, rules and memoranda; questions to it; and
//! the same question to plain DataFusion, as the measure of what an answer without noise must say.
//!
//! In reading order: [`Home`] (an enclave in a temporary folder) · [`Paper`] (a memorandum to sign) · [`club`] (a small
//! contract and records made for a test) · [`plain`] (the same records without an enclave).
#![allow(clippy::unwrap_used)]

pub mod club;
pub mod plain;

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeZone, Utc};
use gate::{Answered, Enclave, Failure, Options, Price, Request, Rho};
use memoranda::{Contract, Role, datapackage};
use vault::Input;

pub use plain::{Datum, Plain};

/// The price at which discrete Gaussian noise is zero for every sensitivity in these tests: the chance of another
/// draw is below 10⁻⁴⁰.
pub const NO_NOISE: f64 = 1e10;

/// A rule set that hides empty cells only and lets a question cost [`NO_NOISE`].
pub const OPEN_RULES: &str = "name = \"open\"\nversion = \"1.0.0\"\n[small_cells]\nmin_units = 1\nassurance = 0.95\n\
    [limits]\nmax_rho_per_release = 1e12\nmax_groups = 100000\ntimeout_seconds = 120\nmemory_mib = 4096\n";

/// 2026-06-01, noon in Japan.
pub fn clock() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 1, 3, 0, 0).unwrap()
}

/// An enclave in a temporary folder, with the rule sets `standard` and `open`.
pub struct Home {
    /// The enclave.
    pub enclave: Enclave,
    /// Its contract.
    pub contract: Contract,
    runtime: tokio::runtime::Runtime,
    dir: tempfile::TempDir,
}

impl Home {
    /// A home with a contract, records, and the memorandum `m`: every column, rule set `open`, the largest allotment.
    pub fn open(contract: &str, inputs: &[Input]) -> Home {
        let home = Home::bare(contract, inputs);
        home.sign(&Paper::all("m", &home.contract));
        home
    }

    /// A home with a contract and records.
    pub fn bare(contract: &str, inputs: &[Input]) -> Home {
        let dir = tempfile::tempdir().unwrap();
        let enclave = Enclave::create(&dir.path().join("home"), clock).unwrap();
        let (contract, _) = enclave.publish_contract(contract).unwrap();
        enclave.install_rules(OPEN_RULES).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let home = Home { enclave, contract, runtime, dir };
        home.ingest(inputs);
        home
    }

    /// Makes a new snapshot.
    pub fn ingest(&self, inputs: &[Input]) {
        self.enclave.ingest(&self.contract.name, inputs, &|_, _| {}).unwrap();
    }

    /// Signs a memorandum.
    pub fn sign(&self, paper: &Paper) {
        self.enclave.sign_memorandum(&paper.toml()).unwrap();
    }

    /// Asks.
    pub fn ask(&self, request: &Request) -> Result<Answered, Failure> {
        self.runtime.block_on(self.enclave.ask(request))
    }

    /// The leaves of the log from `from` on, as kind and body.
    pub fn leaves(&self, from: u64) -> Vec<(String, String)> {
        let leaves = self.enclave.ledger().leaves(from, u64::MAX).unwrap();
        leaves.into_iter().map(|leaf| (leaf.kind.to_string(), leaf.body)).collect()
    }

    /// Number of leaves.
    pub fn log_size(&self) -> u64 {
        self.enclave.ledger().size().unwrap()
    }

    /// ρ charged to a memorandum so far.
    pub fn charged(&self, memorandum: &str) -> Rho {
        self.enclave.ledger().account(memorandum).unwrap().unwrap().charged
    }

    /// The folder that holds the home; more files may be put beside it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

/// A fresh question without noise, under the memorandum `m`.
pub fn question(sql: &str) -> Request {
    Request {
        memorandum: "m".to_owned(),
        person: None,
        purpose: None,
        justification: None,
        sql: sql.to_owned(),
        price: Price::Rho(rho(NO_NOISE)),
        confidence: None,
        options: Options::default(),
        fresh: true,
        preview: false,
    }
}

/// The same at a price.
pub fn priced(sql: &str, price: f64) -> Request {
    Request { price: Price::Rho(rho(price)), ..question(sql) }
}

/// A price.
pub fn rho(rho: f64) -> Rho {
    Rho::at_least(rho).unwrap()
}

/// A memorandum, to be changed and signed.
#[derive(Debug, Clone)]
pub struct Paper {
    /// Its id.
    pub id: String,
    /// Contract.
    pub contract: String,
    /// Tables and columns.
    pub items: Vec<(String, Vec<String>)>,
    /// Rule set.
    pub rules: &'static str,
    /// People by id, with their roles.
    pub people: Vec<(&'static str, &'static str)>,
    /// First and last day.
    pub valid: (&'static str, &'static str),
    /// ρ.
    pub rho: f64,
    /// δ.
    pub delta: f64,
}

impl Paper {
    /// A memorandum of all attributes of a contract, with one researcher and the largest allotment.
    pub fn all(id: &str, contract: &Contract) -> Paper {
        let attributes = |table: &memoranda::Table| {
            let columns = table.columns.iter().filter(|column| column.role == Role::Attribute);
            (table.name.clone(), columns.map(|column| column.name.clone()).collect())
        };
        Paper {
            id: id.to_owned(),
            contract: contract.name.clone(),
            items: contract.tables.iter().map(attributes).collect(),
            rules: "open",
            people: vec![("r1", "researcher")],
            valid: ("2026-04-01", "2027-03-31"),
            rho: 4e12,
            delta: 1e-6,
        }
    }

    fn toml(&self) -> String {
        let people: Vec<String> = self
            .people
            .iter()
            .map(|(id, role)| format!("{{ id = \"{id}\", name = \"{id}\", role = \"{role}\" }}"))
            .collect();
        let items: Vec<String> = self
            .items
            .iter()
            .map(|(table, columns)| format!("{{ table = \"{table}\", columns = {columns:?} }}"))
            .collect();
        format!(
            "id = \"{}\"\ncontract = \"{}\"\ntitle = {{ en = \"Test\" }}\ninstitution = \"Test\"\n\
             purpose = {{ en = \"Test\" }}\nuse_case = \"test\"\nvalid = {{ from = {}, until = {} }}\n\
             rules = \"{}\"\npeople = [{}]\nitems = [{}]\n[allotment]\nrho = {:?}\ndelta = {:e}\ndefault_rho = 0.01\n",
            self.id,
            self.contract,
            self.valid.0,
            self.valid.1,
            self.rules,
            people.join(", "),
            items.join(", "),
            self.rho,
            self.delta,
        )
    }
}

/// The contract `star` and its file.
pub fn star() -> (Contract, Vec<Input>) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/star.csv"));
    let contract = datapackage::parse(datasets_synthetic::STAR_CONTRACT).unwrap();
    (contract, vec![Input { table: "results".to_owned(), path }])
}

/// The contract `city`, with a pool that does not end.
pub fn city_contract() -> String {
    datasets_synthetic::CITY_CONTRACT.replace("\"enclave:poolRho\": 5.0", "\"enclave:poolRho\": 4e12")
}

/// The files of a folder as inputs of the tables that they are named after.
pub fn inputs(dir: &Path, tables: &[&str]) -> Vec<Input> {
    let input = |table: &&str| Input { table: (*table).to_owned(), path: dir.join(format!("{table}.csv")) };
    tables.iter().map(input).collect()
}

/// The tables of the contract `city`.
pub const CITY_TABLES: [&str; 7] =
    ["schools", "pupils", "enrolments", "attendance", "assessments", "surveys", "consultations"];
