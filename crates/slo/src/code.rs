//! Codes of what can be wrong; each has a page in `docs/errors`.

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal;)*) => {
        $(pub(crate) const $name: &str = $code;)*
        /// Every code of this crate with its title, in order.
        pub const CODES: &[(&str, &str)] = &[$(($code, $title)),*];
    };
}

codes! {
    KIND = "ESC-0801", "a document is not OpenSLO v1";
    UNSUPPORTED = "ESC-0802", "a part of OpenSLO that is not supported";
    QUERY = "ESC-0803", "a query cannot be used";
    REFERENCE = "ESC-0804", "a name refers to nothing, or to two things";
    VALUE = "ESC-0805", "a value of an objective makes no sense";
    NO_BOUND = "ESC-0806", "a latency threshold is no bucket bound";
    UNUSED = "ESC-0807", "a part of the file is read and not used";
    NEVER_FIRES = "ESC-0811", "an alert can never fire";
    NO_RATIO = "ESC-0812", "an alert counts failures in place of their share";
    QUANTILE = "ESC-0813", "a quantile is not taken over all series";
    BETWEEN = "ESC-0814", "a threshold lies between two bucket bounds";
    NO_FOR = "ESC-0815", "an alert fires at the first evaluation";
    SILENT = "ESC-0816", "an alert is silent when its data stops";
    PROMQL = "ESC-0817", "an expression is no PromQL";
    UNKNOWN_BUCKETS = "ESC-0818", "buckets are not known";
    UNLABELLED = "ESC-0819", "an alert says too little to be routed or understood";
    ODDS = "ESC-0820", "failures are divided by successes";
    AVERAGE = "ESC-0821", "an average stands for latency";
    BARE_COUNTER = "ESC-0822", "a counter is compared without a window";
    NO_ALERTS = "ESC-0823", "a file holds no alert";
}
