//! TPC-H's stream of random numbers: the minimal standard generator of Park and Miller.

const MULTIPLIER: u64 = 16_807;

/// A Mersenne prime: 2^31 - 1.
const MODULUS: u64 = (1 << 31) - 1;

/// A stream of random numbers.
pub(crate) struct Stream(u64);

impl Stream {
    /// A stream that continues after this number.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The last number.
    #[cfg(test)]
    pub(crate) fn seed(&self) -> u64 {
        self.0
    }

    /// A random number from 0 to below `limit`. TPC-H divides floating point numbers; no quotient of its
    /// numbers is so near to a whole one that this would differ.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let product = self.0 * MULTIPLIER;
        let (_, rest) = divide(product);
        self.0 = rest;
        divide(rest * limit as u64).0 as usize
    }
}

/// Divides by the modulus; gives quotient and rest.
fn divide(number: u64) -> (u64, u64) {
    // 2^31 is 1 more than the modulus.
    let (high, sum) = (number >> 31, (number >> 31) + (number & MODULUS));
    if sum < MODULUS { (high, sum) } else { (high + 1, sum - MODULUS) }
}

#[cfg(test)]
mod tests {
    use tpchgen::random::RowRandomInt;

    use super::*;

    #[test]
    fn numbers_are_those_of_the_official_generator() {
        for limit in [1, 2, 40, 3_001, 314_572_800] {
            let (mut ours, mut official) =
                (Stream::new(933_588_178), RowRandomInt::new(933_588_178, 1));
            for _ in 0..100_000 {
                assert_eq!(ours.below(limit as usize) as i32, official.next_int(0, limit - 1));
            }
        }
    }
}
