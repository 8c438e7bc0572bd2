//! temp
use std::collections::BTreeMap;
use std::sync::OnceLock;
pub(crate) fn tune(name: &str, default: f64) -> f64 {
    static MAP: OnceLock<BTreeMap<String, f64>> = OnceLock::new();
    let map = MAP.get_or_init(|| {
        std::env::var("TUNE").unwrap_or_default().split(',').filter_map(|p| {
            let (k, v) = p.split_once('=')?;
            Some((k.to_owned(), v.parse().ok()?))
        }).collect()
    });
    map.get(name).copied().unwrap_or(default)
}
