//! Whether neighbouring readings say the same thing twice.

/// Readings looked at, and the fewest from which anything follows.
pub(super) const WINDOW: usize = 60;
const LEAST: usize = 8;
/// The correlation of neighbours above which only every second reading counts.
const CORRELATED: f64 = 0.3;

/// Whether every second reading has to be left out.
pub(super) fn is_correlated(readings: impl ExactSizeIterator<Item = f64>) -> bool {
    readings.len() >= LEAST && lag_one(&ranks(&readings.collect::<Vec<_>>())) > CORRELATED
}

/// Places in the order of size: an outlier is only the largest.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut at = 0;
    while at < order.len() {
        let mut end = at + 1;
        while end < order.len() && values[order[end]] == values[order[at]] {
            end += 1;
        }
        // Equals share the middle of their places.
        let middle = (at + end - 1) as f64 / 2.0;
        for place in &order[at..end] {
            ranks[*place] = middle;
        }
        at = end;
    }
    ranks
}

/// The correlation of neighbours; zero when all values are the same.
fn lag_one(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let around: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    let along: f64 = values
        .windows(2)
        .map(|pair| (pair[0] - mean) * (pair[1] - mean))
        .sum();
    if around > 0.0 { along / around } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_waves_are_correlated_and_jumps_are_not() {
        let told = |values: &[f64]| is_correlated(values.iter().copied());
        let wave: Vec<f64> = (0..40).map(|n| libm::sin(f64::from(n) / 4.0)).collect();
        assert!(told(&wave));
        let saw: Vec<f64> = (0..40).map(|n| f64::from(n % 2)).collect();
        assert!(!told(&saw));
        assert!(!told(&[7.0; 40]) && !told(&wave[..7]));
        // One outlier neither makes a correlation nor hides one.
        let mut spiked = wave;
        spiked[20] = 1e12;
        assert!(told(&spiked));
    }
}
