//! Prints what one assignment costs: `cargo run --release --example assign_bench`.

use esclusa_flags::{CompiledSplit, RequestContext, SegmentRule, SplitSpec, bucket};
use esclusa_model::{BasisPoints, Digest, ReleaseId, Salt};
use std::borrow::Cow;
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

struct Request;
impl RequestContext for Request {
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "x-team").then_some(Cow::Borrowed("blue"))
    }
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        "/cart/7"
    }
    fn host(&self) -> &str {
        "shop.example"
    }
    fn tenant(&self) -> &str {
        "acme"
    }
}

const ROUNDS: usize = 200;

fn measure(name: &str, units: &[String], mut ask: impl FnMut(&str) -> bool) {
    let mut best = f64::INFINITY;
    let mut exposed = 0_usize;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for unit in units {
            exposed += usize::from(ask(black_box(unit)));
        }
        best = best.min(start.elapsed().as_nanos() as f64 / units.len() as f64);
    }
    let share = exposed as f64 / (ROUNDS * units.len()) as f64 * 100.0;
    println!("{name:<34} {best:6.1} ns  ({share:.1} % exposed)");
}

fn main() -> Result<(), Box<dyn Error>> {
    let units: Vec<String> = (0..10_000).map(|i| format!("user-{i:06}")).collect();
    let mut spec = SplitSpec {
        release: ReleaseId::new("0190a6d4-7c1e-7a3b-9f00-000000000001")?,
        salt: Salt::new("0190a6d4-7c1e-7a3b-9f00-000000000001")?,
        canary: Digest::of(b"canary"),
        share: BasisPoints::new(2_500)?,
        segments: Vec::new(),
        population: Vec::new(),
        by_flag: None,
    };
    let salt = spec.salt.clone();
    measure("bucket() alone", &units, |unit| {
        bucket(&salt, unit) & 3 == 0
    });

    let plain = CompiledSplit::new(&spec)?;
    measure("share", &units, |unit| {
        plain.assign(unit, &Request).side.is_exposed()
    });

    spec.population.clone_from(&units);
    let known = CompiledSplit::new(&spec)?;
    measure("share of 10,000 known units", &units, |unit| {
        known.assign(unit, &Request).side.is_exposed()
    });

    spec.population.clear();
    spec.segments = vec![SegmentRule {
        name: "team".to_owned(),
        when: r#"header("x-team") == "red" && !path.startsWith("/admin")"#.to_owned(),
    }];
    let team = CompiledSplit::new(&spec)?;
    measure("one segment that fails, then share", &units, |unit| {
        team.assign(unit, &Request).side.is_exposed()
    });
    Ok(())
}
