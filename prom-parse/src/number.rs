//! Decimal numbers, rounded exactly.

use crate::error::Expected;

/// Powers of ten that a double holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// The double nearest to a whole token.
///
/// Takes what both formats take: decimals with an optional sign, fraction and exponent, `inf`, `infinity` and `nan` in
/// any case, the last without a sign. Hexadecimal, underscores and what rounds to an infinity are refused.
pub(crate) fn float(token: &[u8]) -> Result<f64, Expected> {
    let mut padded = [0; SHORT];
    if let Some(start) = padded.get_mut(..token.len()) {
        start.copy_from_slice(token);
        if let Some((value, length)) = short(&padded)
            && length == token.len()
        {
            return Ok(value);
        }
    }
    any_float(token)
}

/// How many bytes [`short`] looks at.
pub(crate) const SHORT: usize = 24;

/// A short decimal at the start of the bytes, and its length.
///
/// Its digits, taken as a whole number, are at most 2^53, and the power of ten that this is to be multiplied or divided
/// by is at most 10^22. Both are exact doubles then, so the one operation rounds once: correctly.
#[inline(always)]
pub(crate) fn short(bytes: &[u8; SHORT]) -> Option<(f64, usize)> {
    let digit = |at: usize| bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10);
    let negative = bytes[0] == b'-';
    let (start, mut mantissa) = (usize::from(negative), 0_u64);
    let mut at = start;
    while let Some(digit) = digit(at) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    let (mut digits, mut power) = (at - start, 0);
    if bytes.get(at) == Some(&b'.') {
        let point = at;
        at += 1;
        while let Some(digit) = digit(at) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        power = point as i32 + 1 - at as i32;
        digits += at - point - 1;
    }
    // Up to 19 digits cannot overflow 64 bits.
    if digits == 0 || digits > 19 || mantissa > 1 << 53 {
        return None;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let down = bytes.get(at + 1) == Some(&b'-');
        at += 1 + usize::from(down || bytes.get(at + 1) == Some(&b'+'));
        let mut exponent = i32::from(digit(at)?);
        at += 1;
        while let Some(digit) = digit(at) {
            exponent = exponent * 10 + i32::from(digit);
            at += 1;
            if exponent > 99 {
                return None;
            }
        }
        power += if down { -exponent } else { exponent };
    }
    let magnitude = match power {
        0 => mantissa as f64,
        -22..0 => mantissa as f64 / TENS[power.unsigned_abs() as usize],
        1..=22 => mantissa as f64 * TENS[power as usize],
        _ => return None,
    };
    (at < SHORT).then_some((if negative { -magnitude } else { magnitude }, at))
}

/// Any number at the start of the bytes that a blank or newline ends, and its length.
#[cold]
pub(crate) fn token(bytes: &[u8]) -> Option<(f64, usize)> {
    let length = bytes.iter().position(|byte| matches!(byte, b' ' | b'\t' | b'\n'))?;
    Some((any_float(&bytes[..length]).ok()?, length))
}

fn any_float(token: &[u8]) -> Result<f64, Expected> {
    let text = core::str::from_utf8(token).map_err(|_| Expected::Number)?;
    let value: f64 = text.parse().map_err(|_| Expected::Number)?;
    let word = text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_alphabetic());
    match value {
        value if value.is_nan() && !text.starts_with(['n', 'N']) => Err(Expected::Number),
        value if value.is_infinite() && !word => Err(Expected::NumberInRange),
        value => Ok(value),
    }
}

/// A timestamp of 0.0.4: digits only, in milliseconds. `None` where it does not fit.
pub(crate) fn millis(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0_i64, |sum, &byte| sum.checked_mul(10)?.checked_add(i64::from(byte.checked_sub(b'0')?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepted_spellings() {
        for (token, value) in [
            ("0", 0.0),
            ("007", 7.0),
            ("-12.50", -12.5),
            ("+1", 1.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e5", 1e5),
            ("1E+05", 1e5),
            ("4.9e-324", 4.9e-324),
            ("1e-400", 0.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("0.00004935100000000001", 0.00004935100000000001),
            ("4.9351e-05", 4.9351e-05),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("inf", f64::INFINITY),
            ("+Inf", f64::INFINITY),
            ("-iNFinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(float(token.as_bytes()), Ok(value), "{token}");
        }
        assert!(float(b"-0").unwrap().is_sign_negative());
        assert!(float(b"NaN").unwrap().is_nan());
        assert!(float(b"nan").unwrap().is_nan());
    }

    #[test]
    fn refused_spellings() {
        for token in [
            "", "-", "+", ".", "-.", "e5", "1e", "1e+", "--1", "+-1", "1_2", "0x10", "0x1p3", "1p3", "1f",
            "1,0", "1.2.3", "+nan", "-NaN", "nan1", "infinit", "in", "Inf1", " 1", "1 ", "1\r", "١", "1\0",
        ] {
            assert_eq!(float(token.as_bytes()), Err(Expected::Number), "{token:?}");
        }
        for token in ["1e400", "-1e400", "1e99999999999", "1.7976931348623159e308"] {
            assert_eq!(float(token.as_bytes()), Err(Expected::NumberInRange), "{token}");
        }
        assert_eq!(float(b"\xff"), Err(Expected::Number));
    }

    #[test]
    fn millis_keep_64_bits() {
        assert_eq!(millis(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(millis(b"9223372036854775808"), None);
        assert_eq!(millis(b"00000000000000000000000000000000000001"), Some(1));
    }

    proptest! {
        #[test]
        fn every_decimal_rounds_as_the_standard_library_rounds_it(
            token in "-?[0-9]{0,20}(\\.[0-9]{0,20})?(e-?[0-9]{1,3})?"
        ) {
            let expected = token.parse::<f64>().ok().filter(|value| value.is_finite());
            prop_assert_eq!(float(token.as_bytes()).ok().map(f64::to_bits), expected.map(f64::to_bits));
        }

        #[test]
        fn every_double_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(float(value.to_string().as_bytes()).unwrap().to_bits(), value.to_bits());
            prop_assert_eq!(float(format!("{value:e}").as_bytes()).unwrap().to_bits(), value.to_bits());
        }
    }
}
