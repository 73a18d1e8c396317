//! `application/x-www-form-urlencoded`, the writing half (WHATWG URL §5.2).

/// Letters, digits and `*-._` as they are, a space as `+`, any other byte as `%XX`.
pub(super) fn encode(bytes: &[u8]) -> String {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'*' | b'-' | b'.' | b'_' => text.push(char::from(*byte)),
            letter if letter.is_ascii_alphanumeric() => text.push(char::from(*letter)),
            b' ' => text.push('+'),
            _ => text.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_letters_digits_and_four_signs_stand_for_themselves() {
        assert_eq!(encode(b"aZ09*-._"), "aZ09*-._");
        assert_eq!(encode("a b&c=d+e%~\u{e9}".as_bytes()), "a+b%26c%3Dd%2Be%25%7E%C3%A9");
    }
}
