//! Decimal numbers, rounded exactly.

use crate::error::Expected;

/// Powers of ten that a double holds exactly.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Whole numbers up to this one are exact doubles.
const EXACT: u64 = 1 << 53;

/// The double nearest to a whole token.
///
/// Takes what both formats take: decimals with an optional sign, fraction and exponent, `inf`, `infinity` and `nan` in
/// any case, the last without a sign. Hexadecimal, underscores and what rounds to an infinity are refused.
pub(crate) fn float(token: &[u8]) -> Result<f64, Expected> {
    match decimal(token) {
        Some((value, length)) if length == token.len() => Ok(value),
        _ => any_float(token),
    }
}

/// The number that begins at a place and ends at a blank or at `stop`, and where it ends.
#[inline(never)]
pub(crate) fn up_to_blank(bytes: &[u8], at: usize, stop: usize) -> Option<(f64, usize)> {
    if let Some(plain) = plain_before_blank(bytes, at) {
        return Some(plain);
    }
    let bare = bytes.get(at..)?;
    let found = if bare.starts_with(b"NaN") { Some((f64::NAN, 3)) } else { decimal(bare) };
    if let Some((value, length)) = found {
        let end = at + length;
        if end == stop || bytes.get(end) == Some(&b' ') {
            return Some((value, end));
        }
    }
    any_up_to_blank(bytes, at, stop)
}

#[cold]
fn any_up_to_blank(bytes: &[u8], at: usize, stop: usize) -> Option<(f64, usize)> {
    let token = bytes.get(at..stop)?;
    let token = &token[..memchr::memchr(b' ', token).unwrap_or(token.len())];
    Some((any_float(token).ok()?, at + token.len()))
}

/// The decimal from a place on that a blank ends within eight bytes, as [`plain`] reads it, and where it ends.
#[inline]
fn plain_before_blank(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    let others = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?) ^ (EACH * 0x20);
    // The lowest bit that is set is the high bit of the first blank.
    let blanks = others.wrapping_sub(EACH) & !others & (EACH * 0x80);
    let end = at + blanks.trailing_zeros() as usize / 8;
    if blanks == 0 { None } else { plain(bytes, at, end).map(|value| (value, end)) }
}

/// Defines a function that reads a decimal of digits and at most one point, as many bytes as a word has or fewer.
macro_rules! plain_decimal {
    ($(#[$doc:meta])* $name:ident, $Word:ty, $value:expr) => {
        $(#[$doc])*
        ///
        /// No branch depends on how many digits there are or on the point, since no branch predictor could know.
        #[inline(always)]
        pub(crate) fn $name(bytes: &[u8], at: usize, end: usize) -> Option<f64> {
            const WIDTH: usize = size_of::<$Word>();
            const EACH: $Word = <$Word>::from_ne_bytes([1; WIDTH]);
            /// The last so many bytes.
            const LAST: [$Word; WIDTH + 1] = {
                let mut masks = [0; WIDTH + 1];
                let mut length = 1;
                while length <= WIDTH {
                    masks[length] = !0 << (8 * (WIDTH - length));
                    length += 1;
                }
                masks
            };
            let length = end.wrapping_sub(at);
            if length.wrapping_sub(1) >= WIDTH {
                return None;
            }
            let word = <$Word>::from_le_bytes(*bytes.get(end.wrapping_sub(WIDTH)..end)?.first_chunk()?);
            // The token's last byte is the highest; what stands before the token becomes leading zeros.
            let values = (word ^ (EACH * 0x30)) & LAST[length];
            // The high bit of each byte that is above 9; that may be one, the point's. A byte after one above 0x7f may
            // be taken for one of them too, but then there are two.
            let point = (values.wrapping_add(EACH * 0x76) | values) & (EACH * 0x80);
            let has_point = point != 0;
            let at_point = (point << 1).wrapping_sub(point >> 7);
            let is_point = values & at_point == (point >> 2) - (point >> 6);
            if point & point.wrapping_sub(1) != 0 || !is_point || length == usize::from(has_point) {
                return None;
            }
            // What stands before the point moves up by one.
            let before_point = (point >> 7).wrapping_sub(<$Word>::from(has_point));
            let digits = (values & !(before_point | at_point)) | (values & before_point) << 8;
            let after_point = point.leading_zeros() as usize / 8 % WIDTH;
            let value: u64 = $value(digits);
            // As a signed integer it is converted in one instruction.
            (value <= EXACT).then(|| value as i64 as f64 / TENS[after_point])
        }
    };
}

plain_decimal! {
    /// The decimal between two places, if it is one to eight bytes of digits with at most one point, which may have no
    /// digits on one side, and eight bytes stand before its end. Its digits as a whole number are an exact double, and so
    /// is the power of ten that it is divided by: the division rounds once, correctly.
    plain, u64, eight_digits
}

plain_decimal! {
    /// The same with sixteen bytes in place of eight, if the digits as a whole number are an exact double.
    long_plain, u128, |digits: u128| {
        eight_digits(digits as u64) * 100_000_000 + eight_digits((digits >> 64) as u64)
    }
}

/// One in each of eight bytes.
const EACH: u64 = u64::from_ne_bytes([1; 8]);

/// Eight digits, the first in the lowest byte: each byte, then each second and each fourth, takes in the one before.
#[inline(always)]
fn eight_digits(values: u64) -> u64 {
    const EVEN: u64 = 0x0000_00ff_0000_00ff;
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8);
    let upper = (pairs & EVEN).wrapping_mul(100 + (1_000_000 << 32));
    let lower = (pairs >> 16 & EVEN).wrapping_mul(1 + (10_000 << 32));
    upper.wrapping_add(lower) >> 32
}

/// How many bytes [`leading_decimal`] looks at: sixteen digits before and after a point, eight of an exponent, three signs.
const LEADING: usize = 44;

/// The decimal that the bytes begin with, and its length; of its digits, at most 19.
#[inline]
fn decimal(bytes: &[u8]) -> Option<(f64, usize)> {
    match bytes.first_chunk() {
        Some(leading) => leading_decimal(leading),
        None => {
            let mut padded = [0; LEADING];
            padded[..bytes.len()].copy_from_slice(bytes);
            leading_decimal(&padded)
        }
    }
}

/// A decimal at the start of the bytes, and its length.
///
/// With an exponent, its digits, taken as a whole number, are to be an exact double, and so is the power of ten that it is
/// multiplied or divided by. Then the one operation rounds once: correctly.
fn leading_decimal(bytes: &[u8; LEADING]) -> Option<(f64, usize)> {
    let negative = bytes[0] == b'-';
    let start = usize::from(negative);
    let (whole, whole_digits) = digits(bytes, start);
    let mut end = start + whole_digits;
    let (mut fraction, mut fraction_digits) = (0, 0);
    if bytes[end] == b'.' {
        (fraction, fraction_digits) = digits(bytes, end + 1);
        end += 1 + fraction_digits;
    }
    // More digits than 19 could overflow 64 bits.
    if (whole_digits + fraction_digits).wrapping_sub(1) >= 19 || bytes[end].is_ascii_digit() {
        return None;
    }
    let mantissa = whole * POWERS[fraction_digits] + fraction;
    let mut power = -(fraction_digits as i32);
    if matches!(bytes[end], b'e' | b'E') {
        let sign = bytes[end + 1];
        let at = end + 1 + usize::from(matches!(sign, b'-' | b'+'));
        let (exponent, length) = up_to_eight(bytes, at);
        if mantissa > EXACT || !(1..8).contains(&length) {
            return None;
        }
        power += if sign == b'-' { -(exponent as i32) } else { exponent as i32 };
        end = at + length;
    }
    let magnitude = match power {
        _ if mantissa > EXACT => ratio(mantissa, fraction_digits),
        -22..0 => mantissa as f64 / TENS[power.unsigned_abs() as usize],
        0..=22 => mantissa as f64 * TENS[power as usize],
        _ => return None,
    };
    Some((if negative { -magnitude } else { magnitude }, end))
}

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
fn digits(bytes: &[u8; LEADING], at: usize) -> (u64, usize) {
    let (first, length) = up_to_eight(bytes, at);
    if length < 8 {
        return (first, length);
    }
    let (more, length) = up_to_eight(bytes, at + 8);
    (first * POWERS[length] + more, 8 + length)
}

/// Up to eight digits, all at once.
#[inline(always)]
fn up_to_eight(bytes: &[u8; LEADING], at: usize) -> (u64, usize) {
    let word = bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let values = word ^ (EACH * 0x30);
    // The high bit of each byte that is above 9.
    let others = (((values & (EACH * 0x7f)) + EACH * 0x76) | values) & (EACH * 0x80);
    let length = others.trailing_zeros() as usize / 8;
    // The last digit goes to the last byte, and zeros before the first.
    let values = if length == 0 { 0 } else { values << (64 - 8 * length) };
    (eight_digits(values), length)
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

/// A timestamp of 0.0.4: digits only, in milliseconds. `None` where it is anything else or does not fit.
pub(crate) fn millis(digits: &[u8]) -> Option<i64> {
    let digit = |byte: &u8| byte.checked_sub(b'0').filter(|digit| *digit < 10);
    digits.iter().try_fold(0_i64, |sum, byte| sum.checked_mul(10)?.checked_add(i64::from(digit(byte)?)))
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
        for other in ["1e5", "-1", "1.5", "1/", "1:"] {
            assert_eq!(millis(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn plain_decimals_are_read_as_any(token in "[0-9]{0,8}(\\.[0-9]{0,8})?|[0-9./:,e\\x00-\\x1f!-\\xff]{0,8}") {
            let bytes = format!("{}{token} 1234567", "9".repeat(16)).into_bytes();
            let (at, end) = (16, 16 + token.len());
            let value = plain(&bytes, at, end);
            let long = long_plain(&bytes, at, end);
            let digits = token.bytes().filter(u8::is_ascii_digit).count();
            if digits > 0 && token.len() <= 8 && token.matches('.').count() == token.len() - digits
                && token.len() - digits < 2
            {
                prop_assert!(value.is_some());
            }
            prop_assert!(long.is_some() || value.is_none());
            for value in [value, long].into_iter().flatten() {
                prop_assert_eq!(any_float(token.as_bytes()).map(f64::to_bits), Ok(value.to_bits()));
            }
            let before_blank = plain_before_blank(&bytes, at);
            prop_assert_eq!(before_blank, value.filter(|_| token.len() < 8).map(|value| (value, end)));
            if let Ok(float) = any_float(token.as_bytes()) {
                prop_assert_eq!(up_to_blank(&bytes, at, bytes.len()), Some((float, end)));
            }
        }

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
