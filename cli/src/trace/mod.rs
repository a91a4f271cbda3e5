//! `flatnet trace FROM TO`: the path of a packet, hop by hop, with who runs each.
//!
//! `ends` reads what was typed and `resolve` finds out what it is; `walk` is the model, pure over
//! `facts` that `gather` fetches from the nodes' agents; `probe` sends a packet of our own and
//! compares (from beyond the nodes `outside` sends it), `taken` says to which endpoint that went, `seen`
//! where it passed, `freed` where it ended, `judge` how the whole did, `why` what the API server knows, `fresh` how old that is; `path` is the result and `show` writes it. `follow` is `--watch`.

mod clock;
mod ends;
mod facts;
mod follow;
mod freed;
mod fresh;
mod gather;
mod judge;
mod kube;
mod observed;
mod outside;
mod path;
mod probe;
mod resolve;
mod seen;
mod show;
mod taken;
mod walk;
mod watches;
mod why;

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};

use crate::error::CliError;
use crate::nodes::Where;
use crate::print::{json, say};

use ends::Named;
use outside::Outside;
use path::{Outcome, Protocol, Trace};
use resolve::Unresolved;
use walk::{Source, Walked};

/// Arguments of `flatnet trace`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Who sends: pod/NAME, deploy/NAME, node/NAME, outside, or an address.
    #[arg(required_unless_present = "watch")]
    from: Option<String>,
    /// Where to: the same with a port, svc/NAME[:PORT], NAME.NAMESPACE[:PORT], ADDRESS:PORT.
    #[arg(required_unless_present_any = ["watch", "dns"])]
    to: Option<String>,
    /// Transport protocol; TCP, or with --watch any.
    #[arg(short, long, value_enum)]
    protocol: Option<Protocol>,
    /// The namespace of names that have none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// IPv6, where both families are possible.
    #[arg(short = '6', long)]
    ipv6: bool,
    /// The model alone: no packet is sent.
    #[arg(long)]
    explain: bool,
    /// Looks a name up: a question to the cluster's DNS server, or to TO.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["watch", "protocol"])]
    dns: Option<String>,
    /// Bytes of the datagram that is sent, to see whether one of that size arrives.
    #[arg(long, value_name = "BYTES", default_value_t = 0, conflicts_with_all = ["watch", "dns"])]
    size: u16,
    /// Watches real traffic instead, an event a line (with -o json a JSON object a line): of the
    /// ends that are named, and as the filters say.
    #[arg(short, long, conflicts_with = "explain")]
    watch: bool,
    #[command(flatten)]
    filter: follow::Filter,
    /// The endpoint that is taken, of several.
    #[arg(long, value_name = "ADDRESS")]
    endpoint: Option<std::net::IpAddr>,
    /// The node by which a client from outside comes in, where the address does not tell.
    #[arg(long, value_name = "NODE")]
    through: Option<String>,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: kube::Server,
}

/// The cluster's DNS server.
const DNS: &str = "kube-dns.kube-system:53";

impl Args {
    fn protocol(&self) -> Protocol {
        match (self.protocol, &self.dns, self.size) {
            (Some(protocol), _, _) => protocol,
            (None, None, 0) => Protocol::default(),
            // Both are about datagrams.
            (None, _, _) => Protocol::Udp,
        }
    }
}

/// How to write a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Aligned text.
    #[default]
    Text,
    /// A word a hop.
    Short,
    /// JSON.
    Json,
    /// A Mermaid sequence diagram.
    Mermaid,
    /// A picture.
    Svg,
}

/// Shows the path; exits with 0 if the other end is reached, 1 if not, 2 if that is not known.
///
/// # Errors
/// [`CliError`] if an end is not known or no agent answers.
pub(crate) async fn run(at: &Where, args: &Args) -> Result<ExitCode, CliError> {
    let agents = gather::Agents::of(at).await?;
    let typed_to = args.to.as_deref().or(args.dns.as_ref().map(|_| DNS));
    let (Some(typed_from), Some(typed_to), false) = (&args.from, typed_to, args.watch) else {
        return follow::run(&agents, args).await;
    };
    let (from, to) = (Named::parse(typed_from)?, Named::parse(typed_to)?);
    let outside = Outside::of(at);
    let mut observed = None;
    let walked = match resolve::resolve(args, (&from, &to), &agents, &outside).await {
        Ok(resolved) => {
            let ask = (&resolved.ask, &resolved.names);
            let mut walked = gather::walk(&agents, ask.0, ask.1).await?;
            if !args.explain {
                observed = probe::observe(&agents, ask, &outside, &mut walked).await?;
                if let (None, Source::Outside(from)) = (&observed, &ask.0.source) {
                    eprintln!("{}", outside.advice(*from, ask.0));
                }
            }
            let client = resolved.client.as_ref();
            why::explain(&mut walked.outcome, client, &resolved.pods).await;
            fresh::explain(&mut walked.outcome, &agents).await;
            walked
        }
        Err(Unresolved::Failed(error)) => return Err(error),
        Err(Unresolved::Ended(outcome)) => Walked {
            forward: Vec::new(),
            back: Vec::new(),
            outcome,
            candidates: Vec::new(),
        },
    };
    let trace = Trace {
        from: typed_from.clone(),
        to: typed_to.to_owned(),
        protocol: args.protocol(),
        forward: walked.forward,
        back: walked.back,
        outcome: walked.outcome,
        observed,
    };
    say(&match args.output {
        Output::Text => show::text(&trace),
        Output::Short => show::short(&trace),
        Output::Json => json(&trace) + "\n",
        Output::Mermaid => show::mermaid(&trace),
        Output::Svg => show::svg(&trace),
    });
    Ok(match trace.outcome {
        Outcome::Reached => ExitCode::SUCCESS,
        Outcome::NotReached { .. } => ExitCode::FAILURE,
        Outcome::NotKnown { .. } => ExitCode::from(2),
    })
}
