//! The command's words. Help texts are the reference: keep them exact.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Release gates for people and machines: expose a few, compare, expose more, or take
/// it back
#[derive(Debug, Parser)]
#[command(name = "esclusa", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What all verbs understand.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "For all verbs")]
pub(crate) struct Global {
    /// Print data as JSON; talk still goes to standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Server to speak to, such as https://esclusa.example. Its token is read from
    /// ESCLUSA_TOKEN. Without this, the Unix socket in the data folder is used, and no
    /// token
    #[arg(long, global = true, value_name = "URL", env = "ESCLUSA_SERVER")]
    pub server: Option<String>,
    /// Data folder [default: /var/lib/esclusa for root, else $XDG_STATE_HOME/esclusa,
    /// else ~/.local/state/esclusa]
    #[arg(long, global = true, value_name = "DIR", env = "ESCLUSA_DATA")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the control plane; starts or adopts a proxy
    Serve(Serve),
    /// Run a data plane; `serve` starts one by itself
    Proxy(Proxy),
    /// Supervise one process
    #[command(hide = true, disable_help_flag = true)]
    Shim {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Look at a plan before anything starts
    Plan {
        #[command(subcommand)]
        verb: PlanVerb,
    },
    /// Look at a folder and write a first plan for what is in it
    ///
    /// Reads a compose file, a pm2 ecosystem file, a Procfile or systemd units, says what it
    /// found and what it guessed, and writes esclusa.yaml with the schema for editors beside
    /// it. Nothing is started, and no file is overwritten without --force.
    Init(crate::scaffold::Init),
    /// Ask the plan's requirements that need no canary
    Check(Check),
    /// Start, watch and move releases
    Release {
        #[command(subcommand)]
        verb: ReleaseVerb,
    },
    /// Turn one flag by hand: to a share, to a segment, or off
    ///
    /// Up is a release of the flag alone: it is judged, watched and recorded like any other,
    /// and the flag set keeps the share at its end. Going up from what runs, the running one is
    /// ended at its share first. Down and off happen at once.
    ///
    /// Exits 0 when it was taken, 2 for a share or segment that is not understood.
    Rollout(crate::rollout::Rollout),
    /// Feature flags: look, change, explain, take back
    Flag {
        #[command(subcommand)]
        verb: crate::flag::args::FlagVerb,
    },
    /// Delivery figures from the record: deployment frequency, lead time, change failure
    /// rate, time to restore
    Dora(Dora),
    /// Turn a feature off, or send everybody back to the stable version, now
    ///
    /// A feature is the key of a flag, or an alias that flags have: it is off for everybody,
    /// whatever its rules say, until `esclusa flag lift`. Of a service, what is under way is
    /// aborted. `all` is every feature and every service.
    ///
    /// Works without a server too: where none answers for the data folder within a second, the
    /// proxy of that folder is told itself. It acts at once and keeps that until a server takes
    /// it over. Where no proxy runs either, nobody is served: the kill waits in the folder, and
    /// the next proxy has it before it serves anybody. A server named by --server is stood in
    /// for if it is one of this machine, or if --data names the folder.
    ///
    /// Exits 0 when the proxy has it in force or no proxy runs, also when nothing was under way;
    /// 9 when that was not reached or not read back; 2 when nothing has one of the names; 1 when
    /// it could be told nobody. A stream that has not confirmed, or a record that cannot be
    /// written, is a warning.
    ///
    /// Examples: `esclusa kill exec-reports --reason "errors at acme"`, `esclusa kill all`
    Kill(Kill),
    /// Messages to people: check the file, send a test, see how deliveries go
    Notify {
        #[command(subcommand)]
        verb: NotifyVerb,
    },
    /// Give and take tokens
    Token {
        #[command(subcommand)]
        verb: TokenVerb,
    },
    /// Prove that the record was not changed
    Audit {
        #[command(subcommand)]
        verb: AuditVerb,
    },
    /// Copy the state of the data folder into one file; a server may run meanwhile
    ///
    /// It holds the record of all releases and services, tokens (as hashes), cookie keys,
    /// settings and the counts of traffic, all as they are at one moment. Only its owner may
    /// read it. Exits 1 when the record was found damaged: the backup is made all the same.
    BackupState(crate::state::BackUp),
    /// Put a backup into a data folder that holds no state
    ///
    /// Everything in the file is checked before anything is put in place. A proxy and
    /// versions that run in the folder go on, and the next `esclusa serve` takes them up.
    RestoreState(crate::state::Restore),
    /// Rehearse releases in a simulated world; needs no server and changes nothing
    Sim {
        #[command(subcommand)]
        verb: crate::sim::SimVerb,
    },
    /// Judge recorded traffic again, and ask what a judge can see; changes nothing
    Judge {
        #[command(subcommand)]
        verb: crate::judge::JudgeVerb,
    },
    /// Service level objectives: alert rules from OpenSLO, lint of rules that exist, what is
    /// left of a budget; needs no server
    Slo {
        #[command(subcommand)]
        verb: crate::slo::SloVerb,
    },
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Run the control plane.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Address of the API and the page. Put a proxy with TLS in front of one that other
    /// machines reach
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7300")]
    pub listen: SocketAddr,
    /// For development: loopback only, nobody logs in
    #[arg(long)]
    pub dev: bool,
    /// Address at which the proxy answers flags (OFREP), event streams and guards' questions,
    /// or `off` [default: 127.0.0.1:8016 with --dev, else off]
    #[arg(long, value_name = "ADDR|off", value_parser = flags_listen)]
    pub flags_listen: Option<FlagsListen>,
    /// Environment of flags that the variables FEATURE_* and ESCLUSA_FLAGS of this program
    /// speak of [default: the only one there is]
    #[arg(long, value_name = "NAME")]
    pub flags_environment: Option<String>,
    /// Address under which browsers reach it, such as https://esclusa.example. It stands in
    /// front of the links in messages; with https, cookies of logins go over https alone
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Threads of the proxy that is started; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub proxy_workers: usize,
    /// Leave starting the proxy to somebody else, such as a systemd unit of its own; its
    /// folder is `proxy` in the data folder
    #[arg(long)]
    pub external_proxy: bool,
    /// File that says who is told what [default: notify.yaml in the data folder, where there
    /// is one]. It is read again at SIGHUP
    #[arg(long, value_name = "FILE")]
    pub notify: Option<PathBuf>,
    /// File that says which tables follow the flags [default: sinks.yaml in the data folder,
    /// where there is one]. It is read again at SIGHUP
    #[arg(long, value_name = "FILE")]
    pub sinks: Option<PathBuf>,
    #[command(flatten)]
    pub log: Log,
}

/// Where flags are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagsListen {
    Off,
    At(SocketAddr),
}

fn flags_listen(text: &str) -> Result<FlagsListen, String> {
    match text {
        "off" => Ok(FlagsListen::Off),
        address => address
            .parse()
            .map(FlagsListen::At)
            .map_err(|_| "write an address such as 127.0.0.1:8016, or off".to_owned()),
    }
}

/// Run a data plane.
#[derive(Debug, Args)]
pub(crate) struct Proxy {
    /// Lasting name of this proxy, sent with all its counts
    #[arg(long, value_name = "NAME")]
    pub id: String,
    /// Threads that carry requests; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub workers: usize,
    /// Address that serves /metrics alone
    #[arg(long, value_name = "ADDR")]
    pub metrics_listen: Option<SocketAddr>,
    /// Address that answers flags (OFREP), event streams and the guards of other web servers
    #[arg(long, value_name = "ADDR")]
    pub flags_listen: Option<SocketAddr>,
    /// Take over from the proxy that runs in the data folder: its sockets, its state and its
    /// control. That one drains and ends. Without one, this starts as usual
    #[arg(long)]
    pub take_over: bool,
    /// Folder of `esclusa shim hold DIR`, which keeps the listening sockets open when this
    /// process ends or is killed
    #[arg(long, value_name = "DIR")]
    pub holder: Option<PathBuf>,
    /// How long open connections have when this process is told to end
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = duration)]
    pub drain: esclusa_model::Millis,
    /// How long they have when another process has taken over
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub hand_over_drain: esclusa_model::Millis,
    #[command(flatten)]
    pub log: Log,
}

/// How logs are written; what is logged is chosen by ESCLUSA_LOG.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Form of the log
    #[arg(long, value_name = "FORM", value_enum, default_value_t = LogForm::Text)]
    pub log: LogForm,
    /// Write the log into this file in place of standard error. It is put aside as FILE.1
    /// and so on when it is full, and after a week
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Size of a log file in MiB
    #[arg(long, value_name = "N", default_value_t = 10, requires = "log_file")]
    pub log_mib: u32,
    /// How many log files are kept beside the one that is written
    #[arg(long, value_name = "N", default_value_t = 30, requires = "log_file")]
    pub log_files: u32,
    /// After how many days a log file that was put aside is removed
    #[arg(long, value_name = "N", default_value_t = 30, requires = "log_file")]
    pub log_days: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlanVerb {
    /// Say all that is wrong with a plan, with lines and next steps; exits 2 on errors
    #[command(visible_alias = "check")]
    Lint(PlanAt),
    /// Lay a plan out in the usual way: comments and meaning stay, indentation, quotes and the
    /// order of the top keys are made even
    #[command(visible_alias = "format")]
    Fmt(crate::layout::Fmt),
    /// Show what a plan will do, how long it may take, and what each stage can see
    ///
    /// What a stage sees depends on the traffic: the last day's of the plan's service, where
    /// a server counted it, or the one that `--rps` names. Example:
    /// `esclusa plan show --rps 200`
    Show(PlanAt),
    /// Print the JSON Schema of plans, for editors
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct PlanAt {
    /// The plan
    #[arg(value_name = "FILE", default_value = "esclusa.yaml")]
    pub file: PathBuf,
    /// Requests a second of the service
    #[arg(long, value_name = "N", value_parser = crate::judge::positive)]
    pub rps: Option<f64>,
    /// Its error rate in percent
    #[arg(long, value_name = "PERCENT", requires = "rps", value_parser = crate::judge::positive)]
    pub error_rate: Option<f64>,
}

/// Ask the plan's requirements.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The plan
    #[arg(long, value_name = "FILE", default_value = "esclusa.yaml")]
    pub plan: PathBuf,
    /// Value of ${version} in checks that name it
    #[arg(long, value_name = "V")]
    pub version: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseVerb {
    /// Start a release, or put it in line
    Start(Start),
    /// Show a release as it goes, until it ends
    Watch(Wait),
    /// Show where a release stands
    Status(Which),
    /// List releases, newest first
    History(History),
    /// Stop the advance; the judge goes on watching
    Pause(Because),
    /// Let the release advance again
    Resume(Because),
    /// Send all users to the new version now
    Promote(Because),
    /// Pass what is left of the present stage
    Skip(Because),
    /// Return everything that the release changed
    Abort(Because),
    /// Return everything, also after 100 %, while the version before is kept warm
    Rollback(Because),
    /// Say whether going back is possible right now; exits 6 when it is not
    CanReturn(OfService),
    /// Agree to a release in a role
    SignOff(SignOff),
    /// Make a link by which somebody approves or aborts, once
    Link {
        #[command(subcommand)]
        verb: LinkVerb,
    },
    /// Print what a release did, for the record
    Report(Report),
    /// Print the traffic that a release was judged by, as a recording (JSON Lines)
    ///
    /// `esclusa judge replay` and `judge explain` read it. Example:
    /// `esclusa release record 0198 --out before.jsonl`
    Record(Record),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The release [default: the running or last one]
    #[arg(value_name = "RELEASE")]
    pub release: Option<String>,
    #[command(flatten)]
    pub of: OfService,
}

#[derive(Debug, Args)]
pub(crate) struct OfService {
    /// The service, when there are several
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Name of the version; a plan of flags alone may do without
    #[arg(long, value_name = "V")]
    pub version: Option<String>,
    /// The plan; its relative paths start from its folder
    #[arg(long, value_name = "FILE", default_value = "esclusa.yaml")]
    pub plan: PathBuf,
    /// What to do when a release of the service is under way [default: the plan's word]
    #[arg(long, value_name = "HOW", value_enum)]
    pub on_conflict: Option<OnConflict>,
    /// Wait until it ends; the exit code says how: 0 promoted, 3 rolled back, 4 held,
    /// 5 aborted, 6 refused, 9 rollback failed
    #[arg(long)]
    pub wait: bool,
    /// Longest wait, such as 2h30m; exits 4 after it, and the release goes on
    #[arg(long, value_name = "D", requires = "wait", value_parser = duration)]
    pub timeout: Option<esclusa_model::Millis>,
    /// Write the release's report into this folder at the end of the wait: report.json,
    /// report.md, report.html, junit.xml, and post-mortem.md when it went back
    #[arg(long, value_name = "DIR", requires = "wait")]
    pub reports: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnConflict {
    /// Refuse this one
    Refuse,
    /// Let this one wait
    Queue,
    /// Abort the other one
    Supersede,
}

#[derive(Debug, Args)]
pub(crate) struct Wait {
    #[command(flatten)]
    pub which: Which,
    /// Longest wait, such as 2h30m; exits 4 after it, and the release goes on
    #[arg(long, value_name = "D", value_parser = duration)]
    pub timeout: Option<esclusa_model::Millis>,
}

#[derive(Debug, Args)]
pub(crate) struct History {
    #[command(flatten)]
    pub of: OfService,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Because {
    #[command(flatten)]
    pub which: Which,
    /// Why; recorded with the decision
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

/// Send everybody back.
#[derive(Debug, Args)]
pub(crate) struct Kill {
    /// Keys or aliases of flags, services, or `all`
    #[arg(value_name = "FEATURE|SERVICE|all", required = true)]
    pub names: Vec<String>,
    /// Why; recorded with the decision
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct SignOff {
    #[command(flatten)]
    pub which: Which,
    /// The role, as the plan names it
    #[arg(long, value_name = "ROLE")]
    pub role: String,
    /// Words to go with it; recorded with the agreement
    #[arg(
        long,
        visible_alias = "reason",
        value_name = "WORDS",
        default_value = ""
    )]
    pub comment: String,
    /// An item of the plan's checklist that is done: its words, or its number. Once for
    /// each; `release status` lists them
    #[arg(long = "item", value_name = "N|WORDS")]
    pub items: Vec<String>,
    /// Every item of the plan's checklist is done
    #[arg(long, conflicts_with = "items")]
    pub all_items: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinkVerb {
    /// Make a link that signs off in a role, or lets a release go on that waits
    Approve {
        #[command(flatten)]
        link: Link,
        /// The role that it signs off in; one that the token may. Without it, the link lets
        /// a release go on that is paused or was returned by a proxy
        #[arg(long, value_name = "ROLE")]
        role: Option<String>,
    },
    /// Make a link that returns everything that the release changed
    Abort {
        #[command(flatten)]
        link: Link,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Link {
    #[command(flatten)]
    pub which: Which,
    /// Whom it is for; who acts by it is recorded as link.LABEL [default: your own name]
    #[arg(long = "for", value_name = "LABEL")]
    pub label: Option<String>,
    /// How long it is good; at most 7d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub valid: esclusa_model::Millis,
}

#[derive(Debug, Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub which: Which,
    /// Its form [default: markdown, or json with --json]
    #[arg(long, value_name = "FORM", value_enum)]
    pub format: Option<ReportForm>,
    /// Write it into this file in place of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Record {
    #[command(flatten)]
    pub which: Which,
    /// Write it into this file in place of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportForm {
    /// Data; its schema is docs/reference/report.schema.json
    Json,
    /// Text to be filed or pasted
    Markdown,
    /// One page with charts, without script
    Html,
    /// Test results for pipelines
    Junit,
    /// What is to be written up after a release went back, as Markdown
    PostMortem,
}

/// Delivery figures from the record: how often, how fast, how often back.
#[derive(Debug, Args)]
pub(crate) struct Dora {
    /// Only this service [default: all]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Over how many days up to now, 1 to 366
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub days: u16,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NotifyVerb {
    /// Say all that is wrong with a file that says who is told what; exits 2 on errors
    Lint {
        /// The file
        #[arg(value_name = "FILE", default_value = "notify.yaml")]
        file: PathBuf,
    },
    /// Send a test message through the server; exits 1 when one is not taken
    Test {
        /// The channel [default: all that are turned on]
        #[arg(value_name = "CHANNEL")]
        channel: Option<String>,
    },
    /// Show what waits, was delivered and was given up, by channel
    Status,
    /// Send a message again that was given up
    Retry {
        /// Its id, as `notify status` shows it
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print it, this once
    Create {
        /// Its name, recorded with everything that it does
        name: String,
        /// A level, each with what the one before it may: viewer sees, approver resumes and
        /// aborts releases, operator moves them, admin gives tokens. Or a role of plans in
        /// which it may sign off
        #[arg(long = "role", value_name = "ROLE", required_unless_present = "flags")]
        roles: Vec<String>,
        /// Make a token that asks the proxy for flags and opens nothing else. One for
        /// `client` may be in people's hands: it sees only flags that browsers may read
        #[arg(long, value_name = "WHOM", value_enum, conflicts_with_all = ["roles", "person"],
              requires = "environment")]
        flags: Option<crate::flag::args::TokenFor>,
        // `requires` alone lets it pass beside a role, which excludes what it requires.
        /// The environment in which it asks for flags
        #[arg(long, value_name = "NAME", requires = "flags", conflicts_with_all = ["roles", "person"])]
        environment: Option<String>,
        /// The only project whose flags it sees [default: all]
        #[arg(long, value_name = "NAME", requires = "flags", conflicts_with_all = ["roles", "person"])]
        project: Option<String>,
        /// Leave value and variant out of answers that are a default, as OFREP has it, in
        /// place of naming the off value, which old clients need
        #[arg(long, requires = "flags", conflicts_with_all = ["roles", "person"])]
        strict: bool,
        /// Whose it is. Where a plan wants somebody else than who asked for a release,
        /// all tokens of a person count as one
        #[arg(long, value_name = "NAME")]
        person: Option<String>,
        /// After how long it is worthless by itself, such as 30d [default: never]
        #[arg(long, value_name = "TIME", value_parser = duration)]
        expires: Option<esclusa_model::Millis>,
    },
    /// List tokens, revoked ones too, and when each was used last
    List,
    /// Make a token worthless
    Revoke {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// Check the hash chain of every stream; exits 1 when something was changed
    ///
    /// Where no server answers for the data folder, the folder itself is read and its
    /// record left as it is.
    Verify,
}

pub(crate) fn duration(text: &str) -> Result<esclusa_model::Millis, String> {
    esclusa_model::Millis::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_words_fit_together() {
        Cli::command().debug_assert();
    }

    /// The help of every verb; it is the command's reference.
    #[test]
    fn help_texts() {
        fn collect(command: &mut clap::Command, path: &str, out: &mut String) {
            use std::fmt::Write as _;
            let help = command.render_long_help();
            writeln!(out, "==== {path}\n{help}").expect("a string");
            let names: Vec<String> = command
                .get_subcommands()
                .map(|sub| sub.get_name().to_owned())
                .collect();
            for name in names.iter().filter(|name| *name != "help") {
                let sub = command.find_subcommand_mut(name).expect("just listed");
                if !sub.is_hide_set() {
                    collect(sub, &format!("{path} {name}"), out);
                }
            }
        }
        let mut command = Cli::command()
            .term_width(100)
            .mut_args(|arg| arg.hide_env_values(true));
        command.build();
        let mut out = String::new();
        collect(&mut command, "esclusa", &mut out);
        insta::assert_snapshot!(out);
    }
}
