//! Texts as questions, of the contract whose tables they name: each is refused in words of ours, or has one plan.
#![no_main]

use std::sync::LazyLock;

use disclosure_rules::{Rho, RuleSet};
use libfuzzer_sys::fuzz_target;
use memoranda::{Contract, Memorandum, Role, datapackage};
use queries::{Options, PrivatePlan, Refusal, Rule};
use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Token, Tokenizer};

/// A contract, and a memorandum about as much of it as a memorandum can be.
struct World {
    contract: Contract,
    memorandum: Memorandum,
    rules: RuleSet,
}

static STAR: LazyLock<World> = LazyLock::new(|| {
    world(
        include_str!("../../datasets-synthetic/formats/star/datapackage.json"),
        include_str!("../../memoranda/examples/star-1.toml"),
    )
});

static CITY: LazyLock<World> = LazyLock::new(|| {
    world(
        include_str!("../../datasets-synthetic/formats/city/datapackage.json"),
        include_str!("../../memoranda/examples/city-1.toml"),
    )
});

fn world(contract: &str, memorandum: &str) -> World {
    let contract = datapackage::parse(contract).expect("a published contract");
    let mut memorandum = Memorandum::parse(memorandum).expect("an example");
    memorandum.items = contract
        .tables
        .iter()
        .map(|table| {
            let columns = table.columns.iter().filter(|column| column.role == Role::Attribute);
            memoranda::Items {
                table: table.name.clone(),
                columns: columns.map(|column| column.name.clone()).collect(),
            }
        })
        .collect();
    assert_eq!(memorandum.check_against(&contract), vec![]);
    World { contract, memorandum, rules: RuleSet::standard() }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(sql) = std::str::from_utf8(bytes) else { return };
    let world = if sql.contains("results") { &*STAR } else { &*CITY };
    let bounded = Options { rows_per_unit: Some(3), groups_per_unit: Some(2) };
    match world.verify(sql, &Options::default()) {
        Ok(plan) => world.planned(sql, &Options::default(), &plan),
        Err(refusal) => {
            world.says_nothing_of(sql, &refusal);
            if refusal.rule == Rule::Contribution
                && let Ok(plan) = world.verify(sql, &bounded)
            {
                world.planned(sql, &bounded, &plan);
            }
        }
    }
});

impl World {
    fn verify(&self, sql: &str, options: &Options) -> Result<PrivatePlan, Refusal> {
        queries::verify(sql, &self.contract, &self.memorandum, &self.rules, options)
    }

    /// White space around it is no other question; and nothing is read that the memorandum does not list.
    fn planned(&self, sql: &str, options: &Options, plan: &PrivatePlan) {
        let again = self.verify(&format!("\n{sql}\n"), options).expect("the same question");
        let rho = Rho::at_least(0.01).expect("a price");
        assert_eq!(plan.digest(rho), again.digest(rho), "one question, one digest");
        assert_eq!(plan.items(), again.items());
        assert!(!plan.stages().is_empty());
        assert_eq!(plan.answer_columns().len(), again.answer_columns().len());
        for item in plan.items() {
            let (table, column) = item.split_once('.').expect("table and column");
            let listed = self.memorandum.permits(table, column);
            let unit = || self.contract.table(table).and_then(|table| table.column(column));
            assert!(
                listed || unit().is_some_and(|column| column.role == Role::Unit),
                "`{item}` is not listed"
            );
        }
    }

    /// What stands between quotes may be somebody's name. A word of ours may stand there by chance; another text in
    /// its place may not.
    fn says_nothing_of(&self, sql: &str, refusal: &Refusal) {
        let Some(tokens) = tokens(sql) else { return };
        let said = refusal.to_string();
        if !tokens.iter().filter_map(quoted).any(|text| said.contains(text)) {
            return;
        }
        let turned: Vec<Token> = tokens.into_iter().map(turned).collect();
        let sql: String = turned.iter().map(ToString::to_string).collect();
        let Err(refusal) = self.verify(&sql, &Options::default()) else { return };
        let said = refusal.to_string();
        for text in turned.iter().filter_map(quoted) {
            assert!(!said.contains(text), "`{text}` is repeated of `{sql}`:\n{said}");
        }
    }
}

fn tokens(sql: &str) -> Option<Vec<Token>> {
    Tokenizer::new(&GenericDialect {}, sql).with_unescape(false).tokenize().ok()
}

/// What stands between quotes, where it is long enough to be told from a word of ours.
fn quoted(token: &Token) -> Option<&str> {
    let text = match token {
        Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::NationalStringLiteral(text)
        | Token::EscapedStringLiteral(text) => Some(text),
        Token::Word(word) if word.quote_style.is_some() => Some(&word.value),
        _ => None,
    };
    text.map(String::as_str).filter(|text| text.chars().filter(|c| c.is_alphanumeric()).count() >= 4)
}

/// The same token with other letters and digits between its quotes.
fn turned(token: Token) -> Token {
    let turn = |text: &str| -> String {
        let turn = |c: char| match c {
            'a'..='m' | 'A'..='M' => char::from(c as u8 + 13),
            'n'..='z' | 'N'..='Z' => char::from(c as u8 - 13),
            '0'..='4' => char::from(c as u8 + 5),
            '5'..='9' => char::from(c as u8 - 5),
            c if c.is_alphabetic() => char::from_u32(c as u32 + 1).filter(|c| c.is_alphabetic()).unwrap_or(c),
            c => c,
        };
        text.chars().map(turn).collect()
    };
    match token {
        Token::SingleQuotedString(text) => Token::SingleQuotedString(turn(&text)),
        Token::DoubleQuotedString(text) => Token::DoubleQuotedString(turn(&text)),
        Token::NationalStringLiteral(text) => Token::NationalStringLiteral(turn(&text)),
        Token::EscapedStringLiteral(text) => Token::EscapedStringLiteral(turn(&text)),
        Token::Word(mut word) if word.quote_style.is_some() => {
            word.value = turn(&word.value);
            Token::Word(word)
        }
        other => other,
    }
}
