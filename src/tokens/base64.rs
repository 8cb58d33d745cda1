//! The beginning of base64 text as bytes.

/// At most so many bytes from the beginning, ending where a sign is none of the alphabet's.
pub(crate) fn decode_prefix(text: &str, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for sign in text.bytes() {
        let value = match sign {
            b'A'..=b'Z' => sign - b'A',
            b'a'..=b'z' => sign - b'a' + 26,
            b'0'..=b'9' => sign - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'\r' | b'\n' => continue,
            _ => break,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
            if bytes.len() == most {
                break;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_to_its_end_or_the_bound() {
        assert_eq!(decode_prefix("aGVsbG8gd29ybGQ=", 100), b"hello world");
        assert_eq!(decode_prefix("aGVsbG8gd29ybGQ=", 3), b"hel");
        assert_eq!(decode_prefix("aGVs\nbG8*x", 100), b"hello");
        assert_eq!(decode_prefix("_-8=", 100), [0xff, 0xef]);
    }
}
