//! Rule `graph`: packages and features that must not be anywhere in the build.

use crate::tidy::{Finding, Workspace};

const RULE: &str = "graph";

/// Packages that nobody may bring in, not even for tests.
const FORBIDDEN_PACKAGES: &[(&str, &str)] = &[
    (
        "openssl-sys",
        "TLS is rustls with ring; nothing may depend on the system's OpenSSL",
    ),
    (
        "aws-lc-sys",
        "rustls has one provider, ring; a second one is refused at run time",
    ),
    (
        "aws-lc-rs",
        "rustls has one provider, ring; a second one is refused at run time",
    ),
];

/// Features that nobody may switch on, because they act on the whole build.
const FORBIDDEN_FEATURES: &[(&str, &str, &str)] = &[
    (
        "serde_json",
        "preserve_order",
        "event hashes rest on sorted keys",
    ),
    (
        "serde_json",
        "arbitrary_precision",
        "event hashes rest on one spelling of each number",
    ),
];

/// Checks the whole resolved graph.
pub(crate) fn check(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &workspace.packages {
        for (name, why) in FORBIDDEN_PACKAGES {
            if package.name == *name {
                let message = format!("{name} is in the dependency graph: {why}");
                findings.push(Finding::error(RULE, "Cargo.toml", None, message));
            }
        }
        for (name, feature, why) in FORBIDDEN_FEATURES {
            if package.name == *name && package.features.iter().any(|f| f == feature) {
                let message = format!("{name} has its feature {feature} switched on: {why}");
                findings.push(Finding::error(RULE, "Cargo.toml", None, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::Package;
    use crate::tidy::rules::planted::errors;

    fn found(name: &str, features: &[&str]) -> usize {
        let workspace = Workspace {
            packages: vec![Package {
                id: name.to_owned(),
                name: name.to_owned(),
                features: features.iter().map(|f| (*f).to_owned()).collect(),
                ..Package::default()
            }],
            ..Workspace::default()
        };
        errors(&check(&workspace), RULE).len()
    }

    #[test]
    fn what_acts_on_the_whole_build_is_refused() {
        for name in ["openssl-sys", "aws-lc-sys", "aws-lc-rs"] {
            assert_eq!(found(name, &[]), 1, "{name}");
        }
        for feature in ["preserve_order", "arbitrary_precision"] {
            assert_eq!(found("serde_json", &["std", feature]), 1, "{feature}");
        }
        assert_eq!(found("serde_json", &["std", "float_roundtrip"]), 0);
        assert_eq!(found("toml", &["preserve_order"]), 0);
        assert_eq!(found("ring", &[]), 0);
    }
}
