//! Starts servers and clients, and prints what they cost beside each other.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A process of this program.
struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    fn start(words: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(io::Error::other("a process has no pipes"));
        };
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.output.read_line(&mut line)? {
            0 => Err(io::Error::other("a process ended early")),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn ask(&mut self, word: &str) -> io::Result<String> {
        writeln!(self.input, "{word}")?;
        self.line()
    }

    /// Processor seconds so far, user and system.
    fn cpu(&self) -> io::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = |field: usize| rest.split_whitespace().nth(field)?.parse::<f64>().ok();
        let hertz = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK)?.unwrap_or(100);
        match (ticks(11), ticks(12)) {
            (Some(user), Some(system)) => Ok((user + system) / hertz as f64),
            _ => Err(io::Error::other("the processor time cannot be read")),
        }
    }

    /// Resident memory in megabytes.
    fn resident(&self) -> io::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        Ok(kilobytes.unwrap_or(f64::NAN) / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Answers for a second of a server's processor time.
fn answers(server: &str, path: &str, connections: u64, seconds: u64) -> io::Result<f64> {
    let mut process = Process::start(&["server", server])?;
    let address = process.line()?;
    let load = |seconds: u64| -> io::Result<f64> {
        let (connections, seconds) = (connections.to_string(), seconds.to_string());
        let words = ["load", &address, path, &connections, &seconds];
        let count = Process::start(&words)?.line()?;
        count.parse().map_err(io::Error::other)
    };
    load(1)?;
    let before = process.cpu()?;
    let count = load(seconds)?;
    Ok(count / (process.cpu()? - before))
}

/// Single evaluations beside a bare responder.
pub(crate) fn evaluations() -> io::Result<()> {
    let (rounds, seconds) = (setting("ROUNDS", 3), setting("LOAD_SECONDS", 4));
    let path = "/ofrep/v1/evaluate/flags/exec";
    println!("single evaluations for a second of the server's processor time");
    println!(
        "{:>12} {:>10} {:>10} {:>7}",
        "connections", "esclusa", "bare", "ratio"
    );
    for connections in [16, 64] {
        let (mut ours, mut bare) = (0.0, 0.0);
        for _ in 0..rounds {
            ours = f64::max(ours, answers("esclusa", path, connections, seconds)?);
            bare = f64::max(bare, answers("hyper", path, connections, seconds)?);
        }
        let reached = if ours >= 60_000.0 {
            "reached"
        } else {
            "missed"
        };
        println!(
            "{connections:>12} {ours:>10.0} {bare:>10.0} {:>7.2}  goal 60,000: {reached}",
            ours / bare
        );
    }
    Ok(())
}

/// What one server's streams cost.
struct Cost {
    p50: f64,
    p99: f64,
    last: f64,
    cpu_micros: f64,
    idle: f64,
    resident: f64,
}

fn streams(server: &str, count: u64, slow: u64, rounds: u64) -> io::Result<Cost> {
    let mut process = Process::start(&["server", server])?;
    let address = process.line()?;
    let idle = process.resident()?;
    let target = match server {
        "esclusa" => ticket(&address)?,
        _ => "/".to_owned(),
    };
    let (all, lazy) = (count.to_string(), slow.to_string());
    let mut client = Process::start(&["subscribe", &address, &target, &all, &lazy])?;
    if client.line()? != "ready" {
        return Err(io::Error::other("the streams did not open"));
    }
    while process
        .ask("count")?
        .parse::<u64>()
        .map_err(io::Error::other)?
        < count
    {}
    let (mut p50, mut p99, mut last) = (Vec::new(), Vec::new(), Vec::new());
    let before = process.cpu()?;
    for _ in 0..rounds {
        let began: u128 = process.ask("kill")?.parse().map_err(io::Error::other)?;
        let line = client.line()?;
        let mut ends = line.split_whitespace().map(|at| {
            let at = at.parse::<u128>().unwrap_or(began);
            at.saturating_sub(began) as f64 / 1e6
        });
        for quantile in [&mut p50, &mut p99, &mut last] {
            quantile.push(ends.next().unwrap_or(f64::NAN));
        }
    }
    let cpu = process.cpu()? - before;
    let median = |mut of: Vec<f64>| {
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    };
    Ok(Cost {
        p50: median(p50),
        p99: median(p99),
        last: median(last),
        cpu_micros: cpu * 1e6 / (count * rounds) as f64,
        idle,
        resident: process.resident()?,
    })
}

/// The address of a stream, from an answer.
fn ticket(address: &str) -> io::Result<String> {
    let mut socket = std::net::TcpStream::connect(address)?;
    let request = "POST /ofrep/v1/evaluate/flags HTTP/1.1\r\nhost: localhost\r\n\
                   connection: close\r\ncontent-length: 0\r\n\r\n";
    socket.write_all(request.as_bytes())?;
    let mut answer = String::new();
    io::Read::read_to_string(&mut socket, &mut answer)?;
    let at = answer
        .split_once("\"requestUri\":\"")
        .and_then(|(_, rest)| rest.split_once('"'));
    at.map(|(target, _)| target.to_owned())
        .ok_or_else(|| io::Error::other(format!("no stream in {answer}")))
}

/// Streams beside a bare loop.
pub(crate) fn subscribers() -> io::Result<()> {
    let count = setting("SUBSCRIBERS", 10_000);
    let rounds = setting("KILLS", 15);
    println!(
        "\n{count} streams, {rounds} kills: milliseconds until a stream has the event (medians)"
    );
    println!(
        "{:24} {:>8} {:>8} {:>8} {:>12} {:>12}",
        "", "p50", "p99", "last", "µs a stream", "MB resident"
    );
    let show = |name: &str, cost: &Cost| {
        println!(
            "{name:24} {:>8.1} {:>8.1} {:>8.1} {:>12.1} {:>12.1}",
            cost.p50, cost.p99, cost.last, cost.cpu_micros, cost.resident
        );
    };
    let bare = streams("loop", count, 0, rounds)?;
    show("bare loop", &bare);
    let ours = streams("esclusa", count, 0, rounds)?;
    show("esclusa", &ours);
    let slow = streams("esclusa", count, count / 100, rounds)?;
    show("esclusa, 1 % read nothing", &slow);
    let says = |good: bool| if good { "reached" } else { "missed" };
    println!(
        "\np99 {:.2} times the bare loop's, goal 2: {}",
        ours.p99 / bare.p99,
        says(ours.p99 <= 2.0 * bare.p99)
    );
    println!(
        "{:.1} µs a stream and event, goal 15: {}",
        ours.cpu_micros,
        says(ours.cpu_micros <= 15.0)
    );
    println!(
        "{:.0} MB, {:.0} MB of them before the first stream, goal 200: {}",
        ours.resident,
        ours.idle,
        says(ours.resident <= 200.0)
    );
    println!(
        "p99 of the rest with slow readers {:.2} times that without",
        slow.p99 / ours.p99
    );
    Ok(())
}
