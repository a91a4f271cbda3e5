//! Answers as `dig` reads them, an implementation that is not ours.

use super::*;

/// Asks with `dig`, an implementation that is not ours. None where there is none.
async fn dig(address: SocketAddr, arguments: &[&str]) -> Option<String> {
    let mut dig = Command::new("dig");
    dig.arg(format!("@{}", address.ip()))
        .arg("-p")
        .arg(address.port().to_string());
    dig.args(["+time=3", "+tries=1"]).args(arguments);
    let run = tokio::task::spawn_blocking(move || dig.output());
    match run.await.expect("no panic") {
        // Columns are set apart by tabs or blanks, depending on their widths.
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI must not skip: dig: {error}"
            );
            println!("skipped: dig: {error} (Debian: bind9-dnsutils)");
            None
        }
    }
}

#[tokio::test]
async fn dig_understands_the_answers() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let rows: [(&[&str], &[&str]); 7] = [
        (
            &[WEB, "A"],
            &[
                "status: NOERROR",
                "flags: qr aa rd ra;",
                " IN A 10.96.0.1",
                "EDNS: version: 0",
            ],
        ),
        (
            &[WEB, "AAAA"],
            &["status: NOERROR", "ANSWER: 0, AUTHORITY: 1", " IN SOA "],
        ),
        (
            &["no.default.svc.cluster.local", "A"],
            &["status: NXDOMAIN", " IN SOA "],
        ),
        (
            &["dns-version.cluster.local", "TXT"],
            &[" IN TXT \"1.1.0\""],
        ),
        (
            &["-x", "10.96.0.1"],
            &[" IN PTR web.default.svc.cluster.local."],
        ),
        (
            &[BIG, "A", "+bufsize=512"],
            &["Truncated, retrying in TCP mode", "ANSWER: 100,"],
        ),
        (&["example.com", "A", "+tcp"], &["status: REFUSED"]),
    ];
    for (arguments, wanted) in rows {
        let Some(output) = dig(address, arguments).await else {
            return;
        };
        for part in wanted {
            assert!(
                output.contains(part),
                "{arguments:?}: {part:?} in\n{output}"
            );
        }
    }
}
