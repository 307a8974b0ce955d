//! The four tables of G.711, built at compile time. 8 KB together.

/// Added to a 14 bit magnitude so that each mu-law segment starts at a power of two (G.711 table 2, decision values).
const MU_BIAS: i32 = 33;

/// The largest biased magnitude that mu-law tells apart.
const MU_CLIP: i32 = 0x1FFF;

/// mu-law code to 16 bit sample (G.711 table 2).
pub(super) static MU_LAW: [i16; 256] = expand(true);

/// A-law code to 16 bit sample (G.711 table 1).
pub(super) static A_LAW: [i16; 256] = expand(false);

/// Magnitude, 13 bits without the sign, to mu-law code of a positive sample.
static MU_CODE: [u8; 8192] = {
    let mut table = [0; 8192];
    let mut magnitude = 0;
    while magnitude < 8192 {
        table[magnitude] = mu_compress(magnitude as i32);
        magnitude += 1;
    }
    table
};

/// Magnitude, 11 bits without the sign, to A-law code of a positive sample.
static A_CODE: [u8; 2048] = {
    let mut table = [0; 2048];
    let mut magnitude = 0;
    while magnitude < 2048 {
        table[magnitude] = a_compress(magnitude as i32);
        magnitude += 1;
    }
    table
};

/// Set in the code of a positive sample, by both laws.
const POSITIVE: u8 = 0x80;

pub(super) fn mu_law_of(sample: i16) -> u8 {
    let (magnitude, sign) = magnitude(sample, 2);
    MU_CODE[magnitude] ^ sign
}

pub(super) fn a_law_of(sample: i16) -> u8 {
    let (magnitude, sign) = magnitude(sample, 4);
    A_CODE[magnitude] ^ sign
}

/// One's complement magnitude without the `drop` lowest bits, and the bit that makes a positive code negative.
const fn magnitude(sample: i16, drop: u32) -> (usize, u8) {
    if sample < 0 { ((!sample as usize & 0x7FFF) >> drop, POSITIVE) } else { (sample as usize >> drop, 0) }
}

const fn mu_compress(magnitude: i32) -> u8 {
    let biased = if magnitude + MU_BIAS > MU_CLIP { MU_CLIP } else { magnitude + MU_BIAS };
    let segment = 26 - biased.leading_zeros() as i32;
    let step = (biased >> (segment + 1)) & 0x0F;
    // Sent inverted, the sign bit of a positive sample is set.
    !((segment << 4) | step) as u8 | POSITIVE
}

const fn a_compress(magnitude: i32) -> u8 {
    // The first two segments have the same step, so that their codes are the magnitude itself.
    let code = if magnitude < 32 {
        magnitude
    } else {
        let segment = 28 - magnitude.leading_zeros() as i32;
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0F)
    };
    // Even bits are sent inverted.
    (code as u8 ^ 0x55) | POSITIVE
}

const fn expand(mu: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = if mu { mu_expand(code as u8) } else { a_expand(code as u8) };
        code += 1;
    }
    table
}

const fn mu_expand(code: u8) -> i16 {
    let inverted = !code;
    let segment = (inverted >> 4) & 0x07;
    let step = (inverted & 0x0F) as i16;
    let magnitude = (((step << 1) + MU_BIAS as i16) << segment) - MU_BIAS as i16;
    if code & POSITIVE == 0 { -(magnitude << 2) } else { magnitude << 2 }
}

const fn a_expand(code: u8) -> i16 {
    let even = code ^ 0x55;
    let segment = (even >> 4) & 0x07;
    let step = (even & 0x0F) as i16;
    let magnitude = if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
    if code & POSITIVE == 0 { -magnitude } else { magnitude }
}
