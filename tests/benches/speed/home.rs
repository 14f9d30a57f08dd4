//! [`Home`]: an open enclave that is asked, and [`Plain`]: the same records in plain DataFusion over plain Parquet.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use async_trait::async_trait;
use datafusion::config::{EncryptionFactoryOptions, TableParquetOptions};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::ListingOptions;
use datafusion::execution::parquet_encryption::EncryptionFactory;
use datafusion::object_store::path::Path as StorePath;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use disclosure_rules::RuleSet;
use gate::answered::Cell;
use gate::{Answered, Enclave, Failure, Options, Price, Request, Rho};
use memoranda::{Contract, Memorandum, Role};
use parquet::arrow::ArrowWriter;
use parquet::encryption::decrypt::FileDecryptionProperties;
use parquet::encryption::encrypt::FileEncryptionProperties;
use tokio::runtime::Runtime;
use vault::{Input, Part, Vault};

/// Rule set under which a bench may ask as often as it likes.
const RULES: &str = "name = \"bench\"\nversion = \"1.0.0\"\n[small_cells]\nmin_units = 10\nassurance = 0.95\n[limits]\n\
    max_rho_per_release = 1.0\nmax_groups = 100000\ntimeout_seconds = 120\nmemory_mib = 4096\n\
    largest_contribution = 1000000\n";

/// What the bench's memorandum may spend.
pub(crate) struct Paper {
    allotment: &'static str,
}

impl Default for Paper {
    fn default() -> Paper {
        Paper { allotment: "rho = 1000.0\ndelta = 1e-6\ndefault_rho = 0.01\n" }
    }
}

impl Paper {
    /// The same under pure differential privacy.
    pub(crate) fn pure() -> Paper {
        Paper { allotment: "guarantee = \"pure\"\nepsilon = 1000.0\n" }
    }

    /// A memorandum of all attributes of the contract.
    fn toml(&self, contract: &Contract) -> String {
        let attributes = |table: &memoranda::Table| {
            let columns = table.columns.iter().filter(|column| column.role == Role::Attribute);
            let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
            format!("{{ table = \"{}\", columns = {columns:?} }}", table.name)
        };
        let items: Vec<String> = contract.tables.iter().map(attributes).collect();
        format!(
            "id = \"bench\"\ncontract = \"{}\"\ntitle = {{ en = \"Bench\" }}\ninstitution = \"Bench\"\n\
             purpose = {{ en = \"Bench\" }}\nuse_case = \"bench\"\nvalid = {{ from = 2020-01-01, until = 2099-12-31 }}\n\
             rules = \"bench\"\npeople = [ {{ id = \"r1\", name = \"Bench\", role = \"researcher\" }} ]\n\
             items = [{}]\n[allotment]\n{}",
            contract.name,
            items.join(", "),
            self.allotment,
        )
    }
}

/// An enclave with a contract, its records, and the memorandum `bench`.
pub(crate) struct Home {
    enclave: Enclave,
    dir: PathBuf,
    contract: Contract,
    memorandum: Memorandum,
    /// How long the ingest took.
    pub(crate) ingest_seconds: f64,
}

/// A price in ρ.
pub(crate) fn rho(rho: f64) -> Price {
    Price::Rho(Rho::at_least(rho).unwrap())
}

/// An answer, and how long it took.
pub(crate) struct Asked {
    pub(crate) seconds: f64,
    answered: Answered,
}

impl Home {
    pub(crate) fn new(dir: &Path, contract: &str, inputs: &[Input], paper: &Paper) -> Home {
        let enclave = Enclave::create(dir, chrono::Utc::now).unwrap();
        let (contract, _) = enclave.publish_contract(contract).unwrap();
        enclave.install_rules(RULES).unwrap();
        let start = Instant::now();
        enclave.ingest(&contract.name, inputs, &|_, _| {}).unwrap();
        let ingest_seconds = start.elapsed().as_secs_f64();
        let memorandum = paper.toml(&contract);
        enclave.sign_memorandum(&memorandum).unwrap();
        let memorandum = Memorandum::parse(&memorandum).unwrap();
        Home { enclave, dir: dir.to_path_buf(), contract, memorandum, ingest_seconds }
    }

    /// How each part of a question's first stage is read.
    pub(crate) fn physical_plan(&self, runtime: &Runtime, sql: &str) -> Vec<String> {
        let rules = RuleSet::parse(RULES).unwrap();
        let options = queries::Options::default();
        let plan = queries::verify(sql, &self.contract, &self.memorandum, &rules, &options).unwrap();
        let vault = Vault::open(&self.dir).unwrap();
        let snapshot = vault.snapshot(&self.contract.name).unwrap().unwrap();
        let shown = vault.explain(&plan.stages()[0], &snapshot, &rules.limits);
        runtime.block_on(shown).unwrap().lines().map(str::to_owned).collect()
    }

    /// The encrypted files of one table in plain DataFusion, as it comes.
    pub(crate) fn encrypted(&self, runtime: &Runtime, table: &str) -> Plain {
        let vault = Vault::open(&self.dir).unwrap();
        let snapshot = vault.snapshot(&self.contract.name).unwrap().unwrap();
        let stored = snapshot.table(table).unwrap();
        let context = SessionContext::new();
        let keys = FileKeys(stored.parts.clone());
        context.runtime_env().register_parquet_encryption_factory("vault", Arc::new(keys));
        let mut options = TableParquetOptions::default();
        options.crypto.factory_id = Some("vault".to_owned());
        let options = ListingOptions::new(Arc::new(ParquetFormat::default().with_options(options)));
        let folder = self.dir.join(&stored.parts[0].path).parent().unwrap().to_str().unwrap().to_owned();
        let schema = Some(Arc::clone(&stored.schema));
        runtime.block_on(context.register_listing_table(table, folder, options, schema, None)).unwrap();
        Plain(context)
    }

    /// A fresh question at this price.
    pub(crate) fn ask(&self, runtime: &Runtime, sql: &str, price: Price) -> Result<Asked, Failure> {
        let request = Request {
            memorandum: "bench".to_owned(),
            person: None,
            purpose: None,
            justification: None,
            sql: sql.to_owned(),
            price,
            confidence: None,
            options: Options::default(),
            fresh: true,
            preview: false,
        };
        let start = Instant::now();
        let answered = runtime.block_on(self.enclave.ask(&request));
        Ok(Asked { seconds: start.elapsed().as_secs_f64(), answered: answered? })
    }
}

impl Asked {
    /// The number that an answer of one row and column consists of.
    pub(crate) fn number(&self) -> f64 {
        match self.answered.rows.as_slice() {
            [row] => match row.as_slice() {
                [Cell::Noisy { value, .. } | Cell::Number(value)] => value.get(),
                other => panic!("{other:?}"),
            },
            rows => panic!("{} rows", rows.len()),
        }
    }
}

/// The keys of some parts.
#[derive(Debug)]
struct FileKeys(Vec<Part>);

#[async_trait]
impl EncryptionFactory for FileKeys {
    async fn get_file_encryption_properties(
        &self,
        _: &EncryptionFactoryOptions,
        _: &Arc<Schema>,
        _: &StorePath,
    ) -> datafusion::common::Result<Option<Arc<FileEncryptionProperties>>> {
        Ok(None)
    }

    async fn get_file_decryption_properties(
        &self,
        _: &EncryptionFactoryOptions,
        path: &StorePath,
    ) -> datafusion::common::Result<Option<Arc<FileDecryptionProperties>>> {
        let part = self.0.iter().find(|part| path.as_ref().ends_with(&part.path)).unwrap();
        Ok(Some(part.decryption_properties().unwrap()))
    }
}

/// Plain DataFusion, as it comes.
pub(crate) struct Plain(SessionContext);

impl Plain {
    pub(crate) fn new(runtime: &Runtime, tables: &[Input]) -> Plain {
        let context = SessionContext::new();
        for Input { table, path } in tables {
            let options = ParquetReadOptions::default();
            runtime.block_on(context.register_parquet(table, path.to_str().unwrap(), options)).unwrap();
        }
        Plain(context)
    }

    /// The rows of a question, and how many seconds it took.
    pub(crate) fn ask(&self, runtime: &Runtime, sql: &str) -> (Vec<RecordBatch>, f64) {
        let start = Instant::now();
        let batches = runtime.block_on(async { self.0.sql(sql).await?.collect().await });
        let seconds = start.elapsed().as_secs_f64();
        (batches.unwrap_or_else(|error| panic!("{error}\n{sql}")), seconds)
    }
}

/// Writes batches as Parquet; gives the number of rows.
pub(crate) fn write(path: &Path, schema: &Arc<Schema>, batches: impl Iterator<Item = RecordBatch>) -> usize {
    let properties = parquet::file::properties::WriterProperties::builder()
        .set_compression(parquet::basic::Compression::SNAPPY)
        .build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), Arc::clone(schema), Some(properties)).unwrap();
    let mut rows = 0;
    for batch in batches {
        rows += batch.num_rows();
        writer.write(&batch).unwrap();
    }
    writer.close().unwrap();
    rows
}

/// The only number of a plain result.
pub(crate) fn number(batches: &[RecordBatch]) -> f64 {
    let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
    let column = arrow::compute::cast(batch.column(0), &DataType::Float64).unwrap();
    arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(&column).value(0)
}
