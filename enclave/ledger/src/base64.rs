//! Base64 of RFC 4648, section 4, strict: one text for one value, as signed notes need.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = usize::try_from(group >> (18 - 6 * i) & 63).unwrap_or_default();
            out.push(if i <= chunk.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    out
}

/// `None` unless `text` is what [`encode`] writes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.as_bytes().chunks(4) {
        let digits = chunk.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
        let mut group = 0u32;
        for byte in &chunk[..digits] {
            let digit = ALPHABET.iter().position(|letter| letter == byte)?;
            group = group << 6 | u32::try_from(digit).ok()?;
        }
        let bytes = (group << (6 * (4 - digits.min(4)))).to_be_bytes();
        out.extend_from_slice(bytes.get(1..digits.max(1))?);
    }
    // Refuses wrong lengths, padding in the middle and bits beyond the last byte, all at once.
    (encode(&out) == text).then_some(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rfc_4648_vectors() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
        for refused in
            ["Zg", "Zg=", "Zh==", "Zg==Zg==", "Zm9=", "Zm9v\n", "Zm-v", "====", "Z===", "Zm8=Zg==", "é"]
        {
            assert_eq!(decode(refused), None, "{refused}");
        }
    }
}
