//! Names of others: what is forwarded, what an ExternalName leads to, autopath.

use super::*;

/// An upstream that has one address for `db.example.com`, and denies the rest. Says how often it
/// was asked.
async fn example_com() -> (SocketAddr, Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let address = socket.local_addr().expect("bound");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        let mut packet = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut packet).await {
            count.fetch_add(1, Ordering::Relaxed);
            let query = Message::from_vec(&packet[..length]).expect("a question");
            let mut answer = Message::response(query.metadata.id, OpCode::Query);
            let owner = query.queries[0].name().clone();
            if owner == Name::from_ascii("db.example.com.").expect("a name") {
                let data = RData::A(A::new(192, 0, 2, 7));
                answer.add_answer(Record::from_rdata(owner, 60, data));
            } else {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            answer.queries = query.queries;
            socket.send_to(&bytes(&answer), client).await.expect("sent");
        }
    });
    (address, asked)
}

/// Owners and addresses of the answers.
fn found(message: &Message) -> Vec<String> {
    let line = |record: &Record| format!("{} {}", record.name, record.data);
    message.answers.iter().map(line).collect()
}

#[tokio::test]
async fn other_names_are_forwarded_and_search_paths_are_not() {
    let (upstream, asked) = example_com().await;
    let (_server, address) = serving_with(Feed::offline(index()), to(upstream)).await;
    for round in 0..2 {
        let query = question("DB.example.com.", RecordType::A);
        let over_udp = udp(address, &query).await;
        let over_tcp = tcp(address, std::slice::from_ref(&query)).await;
        for answer in [&over_udp, &over_tcp[0]] {
            assert_eq!(found(answer), ["DB.example.com. 192.0.2.7"], "{round}");
            assert!(!answer.metadata.authoritative);
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    for domain in [
        "default.svc.cluster.local.",
        "svc.cluster.local.",
        "cluster.local.",
    ] {
        let query = question(&format!("db.example.com.{domain}"), RecordType::A);
        let answer = udp(address, &query).await;
        assert_eq!(code(&answer), ResponseCode::NXDomain, "{domain}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "nothing of that left");
}

#[tokio::test]
async fn external_names_come_with_what_they_resolve_to() {
    let (upstream, _) = example_com().await;
    let external = |name: &str, target: &str| mk_service("default", name).external_name(target);
    let feed = Feed::offline(mk_index(
        [
            external("db", "db.example.com"),
            external("no", "no.example.com"),
        ],
        [],
    ));
    let (_server, address) = serving_with(feed.clone(), to(upstream)).await;
    let name = "db.default.svc.cluster.local.";
    let answer = udp(address, &question(name, RecordType::A)).await;
    let wanted = [
        format!("{name} db.example.com."),
        "db.example.com. 192.0.2.7".to_owned(),
    ];
    assert_eq!(found(&answer), wanted);
    let answer = udp(
        address,
        &question("no.default.svc.cluster.local.", RecordType::A),
    )
    .await;
    assert_eq!(
        (code(&answer), answer.answers.len()),
        (ResponseCode::NXDomain, 1)
    );
    // Nobody to ask: the alias alone.
    let (_server, address) = serving(feed).await;
    let answer = udp(address, &question(name, RecordType::A)).await;
    assert_eq!(
        (code(&answer), answer.answers.len()),
        (ResponseCode::NoError, 1)
    );
}

#[tokio::test]
async fn autopath_answers_a_pods_search_list_at_once() {
    let (upstream, _) = example_com().await;
    let mut index = index();
    index.apply_pod(mk_pod("shop", "web-1", "127.0.0.1"));
    let (_server, address) = serving_with(Feed::offline(index), |server| {
        to(upstream)(server);
        server.autopath = true;
    })
    .await;
    let ask = async |name: &str| udp(address, &question(name, RecordType::A)).await;
    let name = "db.example.com.shop.svc.cluster.local.";
    let wanted = [
        format!("{name} db.example.com."),
        "db.example.com. 192.0.2.7".to_owned(),
    ];
    assert_eq!(found(&ask(name).await), wanted);
    let name = "web.default.shop.svc.cluster.local.";
    let wanted = [format!("{name} {WEB}"), format!("{WEB} 10.96.0.1")];
    assert_eq!(found(&ask(name).await), wanted);
    for denied in [
        "no.example.com.shop.svc.cluster.local.",
        // Of another namespace than the pod's: not its search list.
        "db.example.com.default.svc.cluster.local.",
    ] {
        assert_eq!(code(&ask(denied).await), ResponseCode::NXDomain, "{denied}");
    }
}
