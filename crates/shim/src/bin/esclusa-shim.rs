//! The supervisor alone, for tests and for setups that keep it apart.

fn main() -> std::process::ExitCode {
    esclusa_shim::main(std::env::args_os().skip(1))
}
