//! The page of a program that was built without its dashboard.

use super::File;

/// In place of the dashboard's first page.
pub(super) const PAGE: File = File {
    name: "index.html",
    plain: include_bytes!("missing.html"),
    packed: None,
};
