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

/// How many bytes [`short`] looks at: sixteen digits before and after a point, eight of an exponent, three signs.
pub(crate) const SHORT: usize = 44;

/// A decimal without an exponent at the start of the bytes, and its length; of its digits, at most 19.
///
/// No branch depends on how many digits there are, since no branch predictor could know.
#[inline(always)]
pub(crate) fn short(bytes: &[u8; SHORT]) -> Option<(f64, usize)> {
    let negative = bytes[0] == b'-';
    let start = usize::from(negative);
    let (whole, whole_digits) = digits(bytes, start);
    let point = start + whole_digits;
    let (fraction, fraction_digits, end) = match bytes[point] {
        b'.' => {
            let (fraction, length) = digits(bytes, point + 1);
            (fraction, length, point + 1 + length)
        }
        _ => (0, 0, point),
    };
    // More digits than 19 could overflow 64 bits.
    if (whole_digits + fraction_digits).wrapping_sub(1) >= 19 {
        return None;
    }
    if matches!(bytes[end], b'0'..=b'9' | b'e' | b'E') {
        return scientific(bytes);
    }
    let mantissa = whole * POWERS[fraction_digits] + fraction;
    let magnitude = if mantissa <= EXACT {
        mantissa as f64 / TENS[fraction_digits]
    } else {
        ratio(mantissa, fraction_digits)
    };
    Some((if negative { -magnitude } else { magnitude }, end))
}

/// Whole numbers up to this one are exact doubles.
const EXACT: u64 = 1 << 53;

/// Powers of ten in 64 bits.
const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// Up to sixteen digits at a place that is at most 18: their value and how many they are.
#[inline(always)]
fn digits(bytes: &[u8; SHORT], at: usize) -> (u64, usize) {
    let (first, length) = up_to_eight(bytes, at);
    if length < 8 {
        return (first, length);
    }
    let (more, length) = up_to_eight(bytes, at + 8);
    (first * POWERS[length] + more, 8 + length)
}

/// Up to eight digits, all at once.
#[inline(always)]
fn up_to_eight(bytes: &[u8; SHORT], at: usize) -> (u64, usize) {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let word = bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let values = word ^ (EACH * u64::from(b'0'));
    // The high bit of each byte that is above 9.
    let others = (((values & (EACH * 0x7f)) + EACH * 0x76) | values) & (EACH * 0x80);
    let length = others.trailing_zeros() as usize / 8;
    // The last digit goes to the last byte, and zeros before the first.
    let values = if length == 0 { 0 } else { values << (64 - 8 * length) };
    // Each byte, then each second and each fourth, takes in the one before.
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    const EVEN: u64 = 0x0000_00ff_0000_00ff;
    let upper = (pairs & EVEN).wrapping_mul(100 + (1_000_000 << 32));
    let lower = (pairs >> 16 & EVEN).wrapping_mul(1 + (10_000 << 32));
    (upper.wrapping_add(lower) >> 32, length)
}

/// The double nearest to a whole number that is not 0, over a power of ten up to the 19th.
///
/// The quotient has at least 62 bits. Whether anything remains is kept in its last bit, so that the one rounding, to 53
/// bits, is right.
#[inline(never)]
fn ratio(mantissa: u64, power: usize) -> f64 {
    let divisor = POWERS[power];
    let (up, down) = (mantissa.leading_zeros(), divisor.leading_zeros());
    let (dividend, divisor) = (u128::from(mantissa << up) << 63, u128::from(divisor << down));
    let quotient = dividend / divisor;
    let remains = quotient * divisor != dividend;
    let nearest = (quotient as u64 | u64::from(remains)) as f64;
    nearest * f64::from_bits(u64::from(1023 - 63 + down - up) << 52)
}

/// The same with an exponent.
///
/// Its digits, taken as a whole number, are at most 2^53, and the power of ten that this is to be multiplied or divided
/// by is at most 10^22. Both are exact doubles then, so the one operation rounds once: correctly.
#[cold]
fn scientific(bytes: &[u8; SHORT]) -> Option<(f64, usize)> {
    let negative = bytes[0] == b'-';
    let (whole, whole_digits) = digits(bytes, usize::from(negative));
    let mut at = usize::from(negative) + whole_digits;
    let (mut mantissa, mut power) = (whole, 0);
    if bytes[at] == b'.' {
        let (fraction, length) = digits(bytes, at + 1);
        if whole_digits + length > 19 {
            return None;
        }
        mantissa = whole * POWERS[length] + fraction;
        power = -(length as i32);
        at += 1 + length;
    }
    if mantissa > EXACT || !matches!(bytes[at], b'e' | b'E') {
        return None;
    }
    let sign = bytes[at + 1];
    at += 1 + usize::from(matches!(sign, b'-' | b'+'));
    let (exponent, length) = up_to_eight(bytes, at);
    if !(1..8).contains(&length) {
        return None;
    }
    let exponent = exponent as i32;
    power += if sign == b'-' { -exponent } else { exponent };
    let magnitude = match power {
        -22..0 => mantissa as f64 / TENS[power.unsigned_abs() as usize],
        0..=22 => mantissa as f64 * TENS[power as usize],
        _ => return None,
    };
    Some((if negative { -magnitude } else { magnitude }, at + length))
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
