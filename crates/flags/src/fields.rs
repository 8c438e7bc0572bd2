//! Fields of a set by their JSON pointers: which objects come and go with their members.

/// The members on the way to a field, unescaped; none for the set as a whole.
pub(crate) fn steps(pointer: &str) -> Vec<String> {
    let steps = pointer.split('/').skip(1);
    steps
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// Whether an object is nothing but the place of its members: without them it says
/// nothing, so it is made with the first and goes with the last.
pub(crate) fn is_part<S: AsRef<str>>(steps: &[S]) -> bool {
    let steps: Vec<&str> = steps.iter().map(AsRef::as_ref).collect();
    matches!(
        steps.as_slice(),
        ["attributes"
            | "segments"
            | "tenants"
            | "flags"
            | "guards"
            | "standing-rules"
            | "exposures"]
            | ["exposures", "environments"]
            | ["tenants", _, "attributes"]
            | ["flags", _, "environments"]
            | ["flags", _, "environments", _]
            | ["flags", _, "environments", _, "tenants" | "users"]
    )
}

/// Whether a file that writes an object leaves alone what it does not write of it. All
/// other values are one field, such as the variants of a flag or a segment.
pub(crate) fn is_merged<S: AsRef<str>>(steps: &[S]) -> bool {
    match steps {
        [] => true,
        [top, _] => top.as_ref() == "flags" || is_part(steps),
        _ => is_part(steps),
    }
}
