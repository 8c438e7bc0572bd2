//! Readings of series: kept with a release, forgotten by age.

use crate::world::{NOW, folder, open};
use esclusa_judge::{SeriesName, SeriesSide, SeriesValue};
use esclusa_model::{Millis, ReleaseId};
use esclusa_store::SliceRetention;

fn reading(t: i64, side: SeriesSide, value: Option<f64>) -> SeriesValue {
    SeriesValue {
        name: SeriesName::new("queue_depth").expect("a name"),
        t,
        side,
        value,
        why: value.is_none().then(|| "no answer".into()),
    }
}

// MET-10: what was read is there again, also that there was nothing.
#[tokio::test]
async fn readings_come_back_in_order_until_they_are_old() {
    let folder = folder();
    let store = open(folder.path()).await;
    let release = ReleaseId::new("r-1").expect("an id");
    let other = ReleaseId::new("r-2").expect("an id");
    let now = NOW.unix_second();
    let both = [
        reading(now, SeriesSide::Baseline, Some(0.1)),
        reading(now, SeriesSide::Canary, None),
    ];
    let old = [reading(now - 1_000, SeriesSide::Canary, Some(-2.5))];
    store.put_readings(&release, &both).await.expect("stored");
    store.put_readings(&release, &old).await.expect("stored");
    // Once more, and otherwise: the first one stays.
    let again = [reading(now, SeriesSide::Baseline, Some(7.0))];
    store.put_readings(&release, &again).await.expect("stored");
    let [stable, canary] = both;
    let [first] = old;
    assert_eq!(
        store.readings(&release).await.expect("read"),
        [first, stable.clone(), canary.clone()]
    );
    assert!(store.readings(&other).await.expect("read").is_empty());
    let retention = SliceRetention {
        age: Millis(500_000),
        bytes: u64::MAX,
    };
    store.keep_slices(retention, NOW).await.expect("kept");
    assert_eq!(
        store.readings(&release).await.expect("read"),
        [stable, canary]
    );
}
