//! The national school code (学校コード): 13 characters, the last a check digit.
//!
//! Kind (2: `B1` elementary, `C1` junior high, …) · prefecture (2) · founder (1: national, public, private) ·
//! number (7) · check digit (1). Source: Ministry of Education, *学校コードについて* (decided 2020-12-22),
//! <https://www.mext.go.jp/content/20210128-mxt_chousa01-000011635_01.pdf>.

const KINDS: [&str; 13] = ["A1", "A2", "B1", "C1", "C2", "D1", "D2", "E1", "F1", "F2", "G1", "H1", "H2"];

/// The check digit for the first 12 characters of a code; `None` if they are not the start of a code.
///
/// Modulus 10 with weights 1 and 2: the letter counts as two digits (A = 01, B = 02, …), every second of the 13
/// digits is doubled, the digits of the products are added, and the check digit makes the sum a multiple of ten.
/// The published codes in the tests agree.
pub fn check_character(first_12: &str) -> Option<char> {
    let kind = first_12.get(..2)?;
    let digits = first_12.get(1..)?;
    if first_12.len() != 12 || !KINDS.contains(&kind) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let letter = u32::from(kind.bytes().next()? - b'A' + 1);
    let sum: u32 = [0, letter]
        .into_iter()
        .chain(digits.bytes().map(|b| u32::from(b - b'0')))
        .enumerate()
        .map(|(place, digit)| digit * (1 + place as u32 % 2))
        .map(|product| product / 10 + product % 10)
        .sum();
    char::from_digit((10 - sum % 10) % 10, 10)
}

/// Whether `code` is well formed (kind, prefecture 01-47, founder 1-3) and its check digit is right.
pub fn is_valid(code: &str) -> bool {
    let Some((first_12, last)) = code.char_indices().nth(12).map(|(at, _)| code.split_at(at)) else {
        return false;
    };
    let place = first_12.get(2..4).and_then(|prefecture| prefecture.parse::<u8>().ok());
    let founder = first_12.get(4..5);
    check_character(first_12).is_some_and(|digit| last.chars().eq([digit]))
        && place.is_some_and(|prefecture| (1..=47).contains(&prefecture))
        && founder.is_some_and(|founder| ["1", "2", "3"].contains(&founder))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// University codes of the ministry's list of 2026-05-01, all three founders.
    const PUBLISHED: [&str; 12] = [
        "F101110100010",
        "F104110100856",
        "F108110101423",
        "F113110102700",
        "F113110112030",
        "F123110106429",
        "F127110107852",
        "F140110110592",
        "F113210102824",
        "F113310103581",
        "F113310102984",
        "F126310107564",
    ];

    #[test]
    fn published_codes_are_valid_and_no_neighbour_is() {
        for code in PUBLISHED {
            assert!(is_valid(code), "{code}");
            // Every other digit in any one place from the prefecture on is caught: a doubled digit keeps its own
            // residue (0 2 4 6 8 1 3 5 7 9).
            for at in 2..13 {
                for digit in '0'..='9' {
                    let neighbour = format!("{}{digit}{}", &code[..at], &code[at + 1..]);
                    assert_eq!(is_valid(&neighbour), neighbour == code, "{neighbour}");
                }
            }
        }
    }

    #[test]
    fn malformed_codes_are_refused() {
        let elementary = format!("B12029900001{}", check_character("B12029900001").unwrap());
        assert!(is_valid(&elementary));
        for code in [
            "",
            "F11311010270",
            "F1131101027000",
            "f113110102700",
            "F3131101027 0",
            "学校コード学校コード学校コ",
        ] {
            assert!(!is_valid(code), "{code}");
        }
        for first_12 in ["X11311010270", "F14811010270", "F11341010270", "F1131101027", "F11311010-70"] {
            let valid =
                check_character(first_12).is_some_and(|digit| is_valid(&format!("{first_12}{digit}")));
            assert!(!valid, "{first_12}");
        }
    }
}
