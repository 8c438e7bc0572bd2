//! For tests: the supervisor that the process driver starts.

fn main() -> std::process::ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(verb) if verb == "shim" => esclusa_shim::main(args),
        _ => std::process::ExitCode::from(2),
    }
}
