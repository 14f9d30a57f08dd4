//! What the server says of itself, as drivers ask for it: its SQL, its limits, its types.

use std::collections::HashMap;
use std::time::Duration;

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedResultSetConcurrency, SqlSupportedResultSetType, SqlSupportedSubqueries,
    SqlSupportedTransaction, SqlSupportedUnions, SqlSupportsConvert, SqlTransactionIsolationLevel,
    XdbcDataType,
};
use gate::parameters;

/// For how long a prepared statement is kept without being used, and the options of a session.
pub(super) const STATEMENT: Duration = Duration::from_secs(3_600);
/// How many of each, and of tickets, one log-in has open.
pub(super) const STATEMENTS_MOST: usize = 2_000;

/// Words of the SQL that are not in SQL:2003.
const KEYWORDS: [&str; 6] = ["ANTI", "ILIKE", "LIMIT", "OFFSET", "SEMI", "TRY_CAST"];

/// The functions of `docs/sql.md`, by what they are of; a test reads the page.
const NUMERIC: [&str; 17] = [
    "abs",
    "cbrt",
    "ceil",
    "exp",
    "floor",
    "greatest",
    "least",
    "ln",
    "log10",
    "log2",
    "pow",
    "power",
    "round",
    "signum",
    "sqrt",
    "trunc",
    "width_bucket",
];
const STRING: [&str; 22] = [
    "btrim",
    "char_length",
    "character_length",
    "concat",
    "contains",
    "ends_with",
    "instr",
    "left",
    "length",
    "lower",
    "ltrim",
    "position",
    "regexp_like",
    "replace",
    "right",
    "rtrim",
    "starts_with",
    "strpos",
    "substr",
    "substring",
    "trim",
    "upper",
];
const DATETIME: [&str; 6] = ["date_bin", "date_part", "date_trunc", "datepart", "datetrunc", "extract"];
const SYSTEM: [&str; 4] = ["coalesce", "ifnull", "nullif", "nvl"];

/// What the server is and does: every entry of FlightSql.proto, of its type.
pub(super) fn sql_info() -> Result<SqlInfoData, FlightError> {
    let mut info = SqlInfoDataBuilder::new();
    for (name, value) in [
        (SqlInfo::FlightSqlServerName, "enclave"),
        (SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION")),
        (SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION),
        // Of Substrait, none.
        (SqlInfo::FlightSqlServerSubstraitMinVersion, ""),
        (SqlInfo::FlightSqlServerSubstraitMaxVersion, ""),
        (SqlInfo::SqlIdentifierQuoteChar, "\""),
        (SqlInfo::SqlSearchStringEscape, "\\"),
        (SqlInfo::SqlExtraNameCharacters, ""),
        (SqlInfo::SqlSchemaTerm, "data set"),
        (SqlInfo::SqlProcedureTerm, ""),
        (SqlInfo::SqlCatalogTerm, "memorandum"),
    ] {
        info.append(name, value);
    }
    for (name, value) in [
        (SqlInfo::FlightSqlServerReadOnly, true),
        (SqlInfo::FlightSqlServerSql, true),
        (SqlInfo::FlightSqlServerSubstrait, false),
        (SqlInfo::FlightSqlServerCancel, false),
        (SqlInfo::FlightSqlServerBulkIngestion, false),
        (SqlInfo::FlightSqlServerIngestTransactionsSupported, false),
        (SqlInfo::SqlDdlCatalog, false),
        (SqlInfo::SqlDdlSchema, false),
        (SqlInfo::SqlDdlTable, false),
        // Public tables are asked about beside one of pupils.
        (SqlInfo::SqlAllTablesAreSelectable, false),
        (SqlInfo::SqlSupportsColumnAliasing, true),
        (SqlInfo::SqlNullPlusNullIsNull, true),
        (SqlInfo::SqlSupportsTableCorrelationNames, true),
        (SqlInfo::SqlSupportsDifferentTableCorrelationNames, false),
        (SqlInfo::SqlSupportsExpressionsInOrderBy, true),
        (SqlInfo::SqlSupportsOrderByUnrelated, true),
        (SqlInfo::SqlSupportsLikeEscapeClause, false),
        (SqlInfo::SqlSupportsNonNullableColumns, true),
        (SqlInfo::SqlSupportsIntegrityEnhancementFacility, false),
        (SqlInfo::SqlCatalogAtStart, true),
        (SqlInfo::SqlSelectForUpdateSupported, false),
        (SqlInfo::SqlStoredProceduresSupported, false),
        (SqlInfo::SqlCorrelatedSubqueriesSupported, true),
        (SqlInfo::SqlMaxRowSizeIncludesBlobs, false),
        (SqlInfo::SqlTransactionsSupported, false),
        (SqlInfo::SqlDataDefinitionCausesTransactionCommit, false),
        (SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false),
        (SqlInfo::SqlBatchUpdatesSupported, false),
        (SqlInfo::SqlSavepointsSupported, false),
        (SqlInfo::SqlNamedParametersSupported, false),
        (SqlInfo::SqlLocatorsUpdateCopy, false),
        (SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false),
    ] {
        info.append(name, value);
    }
    // Ordinals of an enumeration, bits by its ordinals, and milliseconds.
    let bit = |ordinal: i32| 1_i32 << ordinal;
    let milliseconds = i32::try_from(STATEMENT.as_millis()).unwrap_or(i32::MAX);
    for (name, value) in [
        (SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32),
        (SqlInfo::FlightSqlServerStatementTimeout, milliseconds),
        (SqlInfo::FlightSqlServerTransactionTimeout, 0),
        (SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32),
        // Kept as they are written, which has no number.
        (SqlInfo::SqlQuotedIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32),
        (SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32),
        (
            SqlInfo::SqlSupportedGroupBy,
            bit(SqlSupportedGroupBy::SqlGroupByUnrelated as i32)
                | bit(SqlSupportedGroupBy::SqlGroupByBeyondSelect as i32),
        ),
        // Every one of them writes too.
        (SqlInfo::SqlSupportedGrammar, 0),
        (SqlInfo::SqlAnsi92SupportedLevel, 0),
        // An ordinal by the protocol, a bit by the driver of JDBC: FULL there, and limited here. Both are so.
        (SqlInfo::SqlOuterJoinsSupportLevel, bit(SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins as i32)),
        (SqlInfo::SqlSchemasSupportedActions, 0),
        (SqlInfo::SqlCatalogsSupportedActions, 0),
        (SqlInfo::SqlSupportedPositionedCommands, 0),
        (
            SqlInfo::SqlSupportedSubqueries,
            bit(SqlSupportedSubqueries::SqlSubqueriesInComparisons as i32)
                | bit(SqlSupportedSubqueries::SqlSubqueriesInExists as i32)
                | bit(SqlSupportedSubqueries::SqlSubqueriesInIns as i32),
        ),
        (
            SqlInfo::SqlSupportedUnions,
            bit(SqlSupportedUnions::SqlUnion as i32) | bit(SqlSupportedUnions::SqlUnionAll as i32),
        ),
        (
            SqlInfo::SqlSupportedTransactionsIsolationLevels,
            bit(SqlTransactionIsolationLevel::SqlTransactionNone as i32),
        ),
        (
            SqlInfo::SqlSupportedResultSetTypes,
            bit(SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32),
        ),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0),
        (
            SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly,
            bit(SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32),
        ),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0),
        (SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0),
    ] {
        info.append(name, value);
    }
    // What has a limit has that of the whole statement; 0 is none of its own.
    let statements = i64::try_from(STATEMENTS_MOST).unwrap_or(i64::MAX);
    let length = i64::try_from(parameters::LENGTH_MAX).unwrap_or(i64::MAX);
    for (name, value) in [
        (SqlInfo::SqlMaxBinaryLiteralLength, 0),
        (SqlInfo::SqlMaxCharLiteralLength, 0),
        (SqlInfo::SqlMaxColumnNameLength, 0),
        (SqlInfo::SqlMaxColumnsInGroupBy, 0),
        (SqlInfo::SqlMaxColumnsInIndex, 0),
        (SqlInfo::SqlMaxColumnsInOrderBy, 0),
        (SqlInfo::SqlMaxColumnsInSelect, 0),
        (SqlInfo::SqlMaxColumnsInTable, 0),
        (SqlInfo::SqlMaxConnections, 0),
        (SqlInfo::SqlMaxCursorNameLength, 0),
        (SqlInfo::SqlMaxIndexLength, 0),
        (SqlInfo::SqlDbSchemaNameLength, 0),
        (SqlInfo::SqlMaxProcedureNameLength, 0),
        (SqlInfo::SqlMaxCatalogNameLength, 0),
        (SqlInfo::SqlMaxRowSize, 0),
        (SqlInfo::SqlMaxStatementLength, length),
        (SqlInfo::SqlMaxStatements, statements),
        (SqlInfo::SqlMaxTableNameLength, 0),
        (SqlInfo::SqlMaxTablesInSelect, 0),
        (SqlInfo::SqlMaxUsernameLength, 64),
        // The protocol calls it an int32; the driver of JDBC reads an int64 and nothing else.
        (
            SqlInfo::SqlDefaultTransactionIsolation,
            i64::from(SqlTransactionIsolationLevel::SqlTransactionNone as i32),
        ),
    ] {
        info.append(name, value);
    }
    for (name, value) in [
        (SqlInfo::SqlKeywords, KEYWORDS.as_slice()),
        (SqlInfo::SqlNumericFunctions, NUMERIC.as_slice()),
        (SqlInfo::SqlStringFunctions, STRING.as_slice()),
        (SqlInfo::SqlSystemFunctions, SYSTEM.as_slice()),
        (SqlInfo::SqlDatetimeFunctions, DATETIME.as_slice()),
    ] {
        info.append(name, value);
    }
    info.append(SqlInfo::SqlSupportsConvert, conversions());
    info.build()
}

/// What CAST takes, from each type.
fn conversions() -> HashMap<i32, Vec<i32>> {
    use SqlSupportsConvert::{
        SqlConvertBigint as Integer, SqlConvertBit as Boolean, SqlConvertDate as Date,
        SqlConvertFloat as Number, SqlConvertTimestamp as DateTime, SqlConvertVarchar as Text,
    };
    let to: [(SqlSupportsConvert, &[SqlSupportsConvert]); 6] = [
        (Integer, &[Integer, Number, Boolean, Text]),
        (Number, &[Integer, Number, Text]),
        (Boolean, &[Integer, Number, Boolean, Text]),
        (Text, &[Integer, Number, Boolean, Text, Date, DateTime]),
        (Date, &[Date, DateTime, Text]),
        (DateTime, &[DateTime, Date]),
    ];
    to.into_iter().map(|(from, to)| (from as i32, to.iter().map(|kind| *kind as i32).collect())).collect()
}

/// The types that columns have.
pub(super) fn types() -> Result<XdbcTypeInfoData, FlightError> {
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, kind, size, quote) in [
        ("boolean", XdbcDataType::XdbcBit, 1, None),
        ("integer", XdbcDataType::XdbcBigint, 19, None),
        ("number", XdbcDataType::XdbcDouble, 15, None),
        ("string", XdbcDataType::XdbcVarchar, i32::MAX, Some("'".to_owned())),
        ("date", XdbcDataType::XdbcDate, 10, Some("'".to_owned())),
        ("datetime", XdbcDataType::XdbcTimestamp, 26, Some("'".to_owned())),
    ] {
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type: kind,
            sql_data_type: kind,
            column_size: Some(size),
            literal_prefix: quote.clone(),
            literal_suffix: quote,
            nullable: Nullable::NullabilityNullable,
            case_sensitive: true,
            searchable: Searchable::Full,
            ..XdbcTypeInfo::default()
        });
    }
    types.build()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use arrow::array::AsArray;
    use arrow::datatypes::UInt32Type;

    use super::*;

    #[test]
    fn every_entry_of_the_protocol_is_told() {
        let told = sql_info().unwrap().record_batch([]).unwrap();
        let names = told.column(0).as_primitive::<UInt32Type>().values();
        let told: BTreeSet<i32> = names.iter().map(|name| i32::try_from(*name).unwrap()).collect();
        let known: BTreeSet<i32> = (0..10_000).filter(|id| SqlInfo::try_from(*id).is_ok()).collect();
        assert!(known.len() > 80);
        assert_eq!(told, known);
    }
}
