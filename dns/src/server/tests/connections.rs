//! TCP connections: many questions on one, clients that are slow, or broken, or too many.

use tokio::net::TcpSocket;

use super::*;

/// Longer than it takes until a slow client is cut off (3 s), or an idle one (10 s, and one where
/// connections are scarce).
const CUT_OFF: Duration = Duration::from_secs(8);

/// Whether the server closes the connection, having said nothing more.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let ended = timeout(CUT_OFF, stream.read_to_end(&mut rest)).await;
    // With what it had not read, the connection is reset.
    ended.is_ok() && rest.is_empty()
}

#[tokio::test]
async fn many_questions_on_one_connection() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let queries: Vec<_> = (0..50).map(|_| question(WEB, RecordType::A)).collect();
    let answers = tcp(address, &queries).await;
    assert!(answers.iter().all(|answer| answer.answers.len() == 1));
}

#[tokio::test]
async fn an_answer_that_waits_keeps_no_other_from_going() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let upstream = silent.local_addr().expect("bound");
    let (_server, address) = serving_with(Feed::offline(index()), to(upstream)).await;
    let mut slow = question("slow.example.com.", RecordType::A);
    slow.metadata.id = 1;
    let answers = tcp(address, &[slow, question(WEB, RecordType::A)]).await;
    let seen: Vec<_> = answers
        .iter()
        .map(|answer| (answer.metadata.id, code(answer)))
        .collect();
    let wanted = [(4711, ResponseCode::NoError), (1, ResponseCode::ServFail)];
    assert_eq!(seen, wanted, "the later question's answer first");
}

#[tokio::test]
async fn a_broken_connection_harms_no_other() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let mut broken = TcpStream::connect(address).await.expect("loopback");
    broken.write_all(&[0xff; 7]).await.expect("sent");
    let _idle = TcpStream::connect(address).await.expect("loopback");
    drop(broken);
    let answers = tcp(address, &[question(WEB, RecordType::A)]).await;
    assert_eq!(answers[0].answers.len(), 1);
}

#[tokio::test]
async fn who_sends_a_question_bit_by_bit_is_cut_off() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let mut slow = TcpStream::connect(address).await.expect("loopback");
    slow.write_all(&[0, 40, 1]).await.expect("sent");
    assert!(is_closed(&mut slow).await);
}

#[tokio::test]
async fn who_announces_more_than_a_question_can_be_is_cut_off_at_once() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let mut long = TcpStream::connect(address).await.expect("loopback");
    long.write_all(&[0xff, 0xff]).await.expect("sent");
    let begun = Instant::now();
    assert!(is_closed(&mut long).await);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn who_takes_no_answers_is_cut_off() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(address).await.expect("loopback");
    let query = framed(&question(BIG, RecordType::A));
    let asking = async { while stream.write_all(&query).await.is_ok() {} };
    timeout(CUT_OFF, asking).await.expect("cut off");
}

#[tokio::test]
async fn connections_are_bounded_and_idle_ones_make_room() {
    let (_server, address) = serving(Feed::offline(index())).await;
    let query = framed(&question(WEB, RecordType::A));
    let mut busy = Vec::new();
    for _ in 0..CONNECTIONS {
        busy.push(TcpStream::connect(address).await.expect("loopback"));
    }
    let mut late = TcpStream::connect(address)
        .await
        .expect("the kernel takes it");
    late.write_all(&query).await.expect("sent");
    for _ in 0..10 {
        for stream in &mut busy {
            stream.write_all(&query).await.expect("sent");
            heard(stream, PATIENCE).await.expect("an answer");
        }
        let said = heard(&mut late, Duration::from_millis(100)).await;
        assert!(said.is_none(), "all places are taken");
    }
    // They ask no more, and lose their places before the ten seconds that one has otherwise.
    let said = heard(&mut late, CUT_OFF).await.expect("a place");
    assert_eq!(said.answers.len(), 1);
    let mut closed = 0;
    for stream in &mut busy {
        closed += usize::from(is_closed(stream).await);
    }
    assert_eq!(closed, CONNECTIONS);
}
