//! The words of `flag`.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum FlagVerb {
    /// List flags and what holds in each environment
    List {
        /// Only those of this project
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
        /// Only those whose last day is over
        #[arg(long)]
        stale: bool,
    },
    /// Show a flag: its definition, and which flags need it
    Get(Key),
    /// Change what a flag serves: to everybody, or to some
    ///
    /// Without --tenant, --user and --share it sets what is served where no rule decides.
    /// Examples: `esclusa flag set exec-reports on --environment production --tenant acme
    /// --reason pilot`, `esclusa flag set exec-reports on --share 25% --of tenant`
    Set(Set),
    /// Take an override or a default away again
    ///
    /// Whom it was for gets what the rules say. Example: `esclusa flag unset exec-reports
    /// --environment production --tenant acme --reason "the pilot is over"`
    Unset(Unset),
    /// Turn a flag off in one environment, whatever its rules say: everybody gets its off variant
    Disable(Switch),
    /// Let the rules of a flag that was disabled decide again
    Enable(Switch),
    /// Delete a flag
    ///
    /// Refused as long as another flag, a guard, a standing rule, exposures or a running release
    /// need it; they are named.
    Delete(Delete),
    /// Make flags what a file says (JSON or YAML); the difference is shown first
    ///
    /// What the file does not name stays as it is, unless --replace is given: of a flag its other
    /// fields, environments and overrides too. `null` takes a field away. Fields that somebody
    /// changed since the `revision` of the file are not set back without --force. On a terminal
    /// it asks before it changes anything. Example: `esclusa flag apply flags.json --dry-run`
    Apply(Apply),
    /// Say all that is wrong with a file of flags, without a server; exits 2 on errors
    ///
    /// The file is checked as a whole set: what it only adds to a stored one is not known here.
    Lint {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Say what a flag answers somebody, and why
    ///
    /// Example: `esclusa flag explain exec-reports --tenant acme --with country=es`
    Explain(Explain),
    /// List the tenants that a flag gives each variant
    Who {
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        at: At,
    },
    /// Give a tester a token that shows variants before anybody else has them
    ///
    /// Requests carry it as the header, the cookie or the value of the context of the name
    /// x-esclusa-tester. Kills, disabled flags and prerequisites come first; it is shown once.
    /// Example: `esclusa flag tester ana --show exec-reports=on --for 8h --reason "before the release"`
    Tester(Tester),
    /// Show what the standing rules see, and what they have turned off
    ///
    /// `unknown` says why a rule cannot tell, such as too few requests.
    Rules,
    /// Compare guards with an OpenAPI document: which endpoints a flag stands before, which
    /// none does, and which routes of guards fit no endpoint
    ///
    /// Example: `esclusa flag coverage --openapi openapi.yaml --flags flags.json
    /// --under /reports --strict`
    Coverage(crate::flag_coverage::CoverageArgs),
    /// Show what became of a flag, or of all, newest first
    History {
        /// The flag [default: all]
        #[arg(value_name = "KEY")]
        key: Option<String>,
        /// How many entries
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
    },
    /// Take back the change that led to a revision
    ///
    /// Fields that somebody has changed since are a conflict, and nothing is changed then. The
    /// difference is shown first; on a terminal it asks before it changes anything.
    Revert(Revert),
    /// Print the whole set as JSON; `flag apply` takes it
    Export {
        /// Write it into this file in place of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Take FEATURE_* and ESCLUSA_FLAGS over as the defaults of an environment
    ///
    /// FEATURE_JOB_QUEUE=true is the flag with the same letters, such as job_queue or
    /// job-queue. An unknown name, a value other than true and false, or a line of the file that
    /// cannot be read is an error; an empty ESCLUSA_FLAGS says nothing.
    /// Example: `esclusa flag import-env --file .env --environment production --dry-run`
    #[command(visible_alias = "import")]
    ImportEnv(ImportFrom),
    /// Turn features off for everybody, whatever the rules say
    ///
    /// `esclusa kill` does the same, and works without a server too.
    Kill(Names),
    /// Open killed features again, as their rules say
    Lift(Names),
    /// Count who met which variant, as the proxy of this machine recorded it
    ///
    /// Reads the files in the proxy's folder, whether anything runs or not. Nothing is recorded
    /// unless `exposures` of the flags says so. Example: `esclusa flag exposures --flag
    /// exec-reports --since 24h`
    Exposures(Exposures),
    /// Show how far the flags have come: the proxy, who follows them there, how long it took,
    /// and tables
    ///
    /// Exits 1 as long as one of them is behind, or the key of a guard cannot be read.
    Status,
    /// Tables that follow the flags
    #[command(subcommand)]
    Sink(SinkVerb),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SinkVerb {
    /// Say all that is wrong with a file that names tables; exits 2 on errors
    Lint {
        /// The file
        #[arg(value_name = "FILE", default_value = "sinks.yaml")]
        file: PathBuf,
    },
    /// Print one UPDATE that makes a table what flags are, for an emergency without a server
    ///
    /// It asks neither server nor database: flags and kills are those that the proxy of the data
    /// folder has on its disk. Example: `esclusa flag sink sql crm | psql "$DATABASE_URL"`
    Sql {
        /// The table, by the name of its sink
        #[arg(value_name = "NAME")]
        name: String,
        /// The file that names it [default: sinks.yaml in the data folder]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Exposures {
    /// Only of this flag
    #[arg(long, value_name = "KEY")]
    pub flag: Option<String>,
    /// Only in this environment
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Only those of the last time, such as 24h
    #[arg(long, value_name = "TIME", value_parser = crate::args::duration)]
    pub since: Option<esclusa_model::Millis>,
    /// Show the newest records too, one by one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub list: usize,
    /// The folder with the files [default: that of the proxy in the data folder]
    #[arg(long, value_name = "DIR")]
    pub from: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Key {
    /// The flag
    #[arg(value_name = "KEY")]
    pub key: String,
}

#[derive(Debug, Args)]
pub(crate) struct At {
    /// The environment [default: the only one there is]
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The flag
    #[arg(value_name = "KEY")]
    pub key: String,
    /// The variant, such as on
    #[arg(value_name = "VARIANT")]
    pub variant: String,
    #[command(flatten)]
    pub at: At,
    /// Only for this tenant
    #[arg(long, value_name = "ID", group = "whom")]
    pub tenant: Option<String>,
    /// Only for this user
    #[arg(long, value_name = "ID", group = "whom")]
    pub user: Option<String>,
    /// Only for this share, such as 25%; 0% takes the share away
    #[arg(long, value_name = "PERCENT", group = "whom", value_parser = share)]
    pub share: Option<esclusa_model::BasisPoints>,
    /// Whose share it is: an attribute that names units [default: targetingKey]
    #[arg(long, value_name = "ATTRIBUTE", requires = "share")]
    pub of: Option<String>,
    /// Why; recorded with the change
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

fn share(text: &str) -> Result<esclusa_model::BasisPoints, String> {
    esclusa_model::BasisPoints::parse_percent(text).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub(crate) struct Unset {
    /// The flag
    #[arg(value_name = "KEY")]
    pub key: String,
    #[command(flatten)]
    pub at: At,
    /// The variant of this tenant
    #[arg(long, value_name = "ID", group = "what")]
    pub tenant: Option<String>,
    /// The variant of this user
    #[arg(long, value_name = "ID", group = "what")]
    pub user: Option<String>,
    /// What is served where no rule decides: the flag's own default holds then, else off
    #[arg(long, group = "what")]
    pub default: bool,
    /// Why; recorded with the change
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

/// A flag in one environment.
#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// The flag
    #[arg(value_name = "KEY")]
    pub key: String,
    #[command(flatten)]
    pub at: At,
    /// Why; recorded with the change
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The flag
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Why; recorded with the change
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Revert {
    /// The revision, as `flag history` shows it
    #[arg(value_name = "REVISION")]
    pub revision: u64,
    /// Go back to how everything was at that revision
    #[arg(long)]
    pub everything: bool,
    /// Only show the difference
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Why; recorded with the change
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Remove what the file does not name. Where no terminal is there to ask, removing flags
    /// needs --yes
    #[arg(long)]
    pub replace: bool,
    /// Set fields back that somebody changed since the revision of the file
    #[arg(long)]
    pub force: bool,
    /// Only show the difference
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Why; recorded with the change
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The flag
    #[arg(value_name = "KEY")]
    pub key: String,
    #[command(flatten)]
    pub at: At,
    /// The targeting key
    #[arg(long = "for", value_name = "ID")]
    pub targeting_key: Option<String>,
    /// The tenant
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,
    /// The user
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// A tester's token that the request carries
    #[arg(long, value_name = "TOKEN")]
    pub tester: Option<String>,
    /// What else is known: an attribute and its value, which is read as JSON where it is
    /// JSON. Once for each
    #[arg(long = "with", value_name = "NAME=VALUE")]
    pub with: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ImportFrom {
    #[command(flatten)]
    pub at: At,
    /// Read the variables from this file, in the form of a .env file [default: those of this
    /// command]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Make a boolean flag of a FEATURE_* that no flag answers to
    #[arg(long)]
    pub create: bool,
    /// Only show where they differ from what is stored; exits 1 when they do
    #[arg(long)]
    pub dry_run: bool,
    /// Why; recorded with the change
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Keys or aliases of flags, or `all`
    #[arg(value_name = "KEY|all", required = true)]
    pub names: Vec<String>,
    /// Why; recorded with the decision
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

/// Whom a token of flags is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenFor {
    /// A server: all flags
    Server,
    /// Code in people's hands: only flags that browsers may read
    Client,
}

/// A tester, and what is to be shown.
#[derive(Debug, Args)]
pub(crate) struct Tester {
    /// Who is given the token
    #[arg(value_name = "WHO")]
    pub(crate) who: String,
    /// A flag and its variant, such as exec-reports=on; may be given several times
    #[arg(long = "show", value_name = "FLAG=VARIANT", required = true)]
    pub(crate) show: Vec<String>,
    /// For how long it counts, at most 30 days
    #[arg(long = "for", value_name = "TIME", default_value = "8h", value_parser = esclusa_model::Millis::parse)]
    pub(crate) for_: esclusa_model::Millis,
    #[command(flatten)]
    pub(crate) at: At,
    /// Why; recorded with the decision
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(crate) reason: String,
}
