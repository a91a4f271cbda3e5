//! `flatnet-lab`: a Kubernetes cluster on one machine. See `flatnet-lab --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::cli::main()
}
