//! The locked store: keys, encrypted Parquet, ingest, evaluate
