//! Hostile texts are refused and never panic.

use esclusa_plan::SourceFile;
use esclusa_slo::{Buckets, LintOptions, RuleOptions, lint_rules, read_openslo, rules, to_yaml};
use proptest::prelude::*;

const SLO: &str = include_str!("../../../../examples/slo/slo.yaml");
const ALERTS: &str = include_str!("../files/alerts.yml");

fn read_all(text: &str) {
    let source = SourceFile::new("x.yaml", text);
    if let Ok(read) = read_openslo(&source) {
        assert!(
            !read.slos.is_empty(),
            "nothing promised is nothing accepted"
        );
        if let Ok(groups) = rules(&read.slos, &RuleOptions::default()) {
            assert!(!to_yaml("x", &groups).is_empty());
        }
    }
    let found = lint_rules(&source, &LintOptions::default());
    assert!(
        !found.is_empty() || text.contains("alert"),
        "silence is no pass"
    );
    Buckets::default().add_text(text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text(text in ".{0,400}") {
        read_all(&text);
    }

    #[test]
    fn torn_files(cut in 0usize..4_000, at in 0usize..4_000, junk in "[ -~\n]{0,12}") {
        for whole in [SLO, ALERTS] {
            let (cut, at) = (cut % whole.len(), at % whole.len());
            let (from, to) = (cut.min(at), cut.max(at));
            if whole.is_char_boundary(from) && whole.is_char_boundary(to) {
                read_all(&format!("{}{junk}{}", &whole[..from], &whole[to..]));
            }
        }
    }
}
