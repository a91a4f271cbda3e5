//! flatnet-cni: the binary a container runtime calls to put a pod on the network and to take it
//! off again (CNI specification 1.1.0). One shot: environment and stdin in, JSON on stdout, no
//! running agent needed, no API server asked.

use std::process::ExitCode;

fn main() -> ExitCode {
    cni_plugin::run()
}
