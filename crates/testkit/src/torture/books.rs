//! The last questions: is the audit chain whole, and are the stored slices what all
//! users of all releases saw?

use super::counts::{Counted, Ends};
use super::release::Ran;
use super::world::{LONG, World};
use crate::wait_until;
use esclusa_model::{ServiceName, Timestamp};
use esclusa_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

/// Whether all is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong with the whole, beside what each release says.
    pub trouble: Vec<String>,
    /// The folder to look into; none where there is no reason to.
    pub kept: Option<PathBuf>,
}

impl Verdict {
    /// Keeps the world's folder where there is a reason to.
    pub(super) fn of(world: &mut World, wrong: bool, trouble: Vec<String>) -> Self {
        let keep = wrong || !trouble.is_empty();
        if keep {
            world.control.keep();
        }
        Self {
            kept: keep.then(|| world.control.folder().to_owned()),
            trouble,
        }
    }
}

/// Asks whether the chain holds, ends the control plane, and compares the stored slices
/// with the reports of all releases; gives what is wrong.
pub async fn store_books(world: &World, ran: impl Iterator<Item = &Ran>) -> Vec<String> {
    let mut wrong = Vec::new();
    if let Err(error) = chain_holds(world).await {
        wrong.push(error.to_string());
    }
    if let Err(error) = world.control.end().await {
        wrong.push(format!("the control plane does not end: {error}"));
    }
    let mut services: BTreeMap<String, Vec<&Ran>> = BTreeMap::new();
    for ran in ran {
        services.entry(ran.service.clone()).or_default().push(ran);
    }
    match slices_agree(world, &services).await {
        Ok(found) => wrong.extend(found),
        Err(error) => wrong.push(format!("the stored slices cannot be read: {error}")),
    }
    wrong
}

async fn chain_holds(world: &World) -> io::Result<()> {
    let answer = wait_until("the audit", LONG, async || {
        world.control.get("/api/v1/audit/verify").await
    });
    let (status, found) = answer.await.map_err(io::Error::other)?;
    if status == 200 && found["intact"] == true {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "the audit says {status}: {found}"
    )))
}

/// All users came during some release, so what is stored of a service is what the
/// reports of its releases say, to the last request.
async fn slices_agree(
    world: &World,
    services: &BTreeMap<String, Vec<&Ran>>,
) -> io::Result<Vec<String>> {
    let now = Timestamp(super::now_us());
    let store = Store::open(&world.control.data(), now)
        .await
        .map_err(io::Error::other)?;
    let mut wrong = Vec::new();
    for (service, ran) in services {
        let name = ServiceName::new(service.as_str()).map_err(io::Error::other)?;
        let slices = store
            .slices(&name, 0, i64::MAX)
            .await
            .map_err(io::Error::other)?;
        let mut stored: BTreeMap<String, Ends> = BTreeMap::new();
        let (mut client, mut proxy) = (0, 0);
        for (_, stamped) in &slices {
            client += stamped.slice.client_faults;
            proxy += stamped.slice.proxy_faults;
            for cell in stamped.slice.cells.iter().filter(|cell| !cell.synthetic) {
                let ends = stored.entry(cell.intended.to_string()).or_default();
                ends.requests += cell.requests;
                ends.failed += cell.failures();
            }
        }
        // A proxy that is killed or ends may break requests off; only then has it faults.
        let killed = ran
            .iter()
            .any(|ran| ran.blows.iter().any(|b| b.killed_proxy));
        if (client > 0 || proxy > 0) && !killed {
            wrong.push(format!(
                "{service}: {client} faults of clients and {proxy} of the proxy were counted"
            ));
        }
        wrong.extend(compare_totals(service, &totals(ran), &stored));
    }
    store.close().await;
    Ok(wrong)
}

/// Requests and failures over all reports.
fn totals(ran: &[&Ran]) -> Ends {
    let counted: Vec<&Counted> = ran.iter().filter_map(|ran| ran.counted.as_ref()).collect();
    let all = counted.iter().flat_map(|counted| counted.versions.values());
    all.fold(Ends::default(), |sum, ends| Ends {
        requests: sum.requests + ends.requests,
        failed: sum.failed + ends.failed,
    })
}

fn compare_totals(
    service: &str,
    reported: &Ends,
    stored: &BTreeMap<String, Ends>,
) -> Option<String> {
    let sum = stored.values().fold(Ends::default(), |sum, ends| Ends {
        requests: sum.requests + ends.requests,
        failed: sum.failed + ends.failed,
    });
    let versions: BTreeSet<&String> = stored.keys().collect();
    (sum != *reported).then(|| {
        format!(
            "{service}: {} requests and {} failures of {} versions are stored, the reports say \
             {} and {}",
            sum.requests,
            sum.failed,
            versions.len(),
            reported.requests,
            reported.failed
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_planted_miscount_between_store_and_reports_is_found() {
        let ends = |requests, failed| Ends { requests, failed };
        let stored = BTreeMap::from([("a".to_owned(), ends(10, 1)), ("b".to_owned(), ends(5, 0))]);
        assert_eq!(compare_totals("shop", &ends(15, 1), &stored), None);
        assert!(compare_totals("shop", &ends(16, 1), &stored).is_some());
        assert!(compare_totals("shop", &ends(15, 0), &stored).is_some());
    }
}
