//! CRC-32C (Castagnoli, RFC 9260 appendix A), bit by bit: headers are short.

/// The checksum of the octets of `parts`, one after the other.
pub(super) fn crc32c<'a>(octets: impl IntoIterator<Item = &'a u8>) -> u32 {
    let mut crc = !0u32;
    for octet in octets {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82F6_3B78 } else { 0 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn the_check_value_and_the_vectors_of_rfc_3720_appendix_b_4() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
    }
}
