//! Name servers that answer, mislead, are too slow, or have too much to say.

use std::sync::atomic::{AtomicUsize, Ordering};

use simple_dns::ResourceRecord;
use simple_dns::rdata::{A, AAAA, CNAME};
use tokio::net::TcpListener;

use super::*;

/// What a server does with a question by UDP.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Answers { ttl: u32 },
    AnswersByTcpAlone,
    Forges,
    Fails,
    KnowsNothing,
}

/// A name server; how often it was asked.
async fn server(manner: Manner) -> (SocketAddr, Arc<AtomicUsize>) {
    // TCP takes the port that UDP has; where that is taken, another try.
    let (udp, tcp) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            break (udp, tcp);
        }
    };
    let at = udp.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut bytes).await {
            count.fetch_add(1, Ordering::SeqCst);
            let query = &bytes[..length];
            if manner == Manner::Forges {
                let mut forged = answer(query, 60, [6, 6, 6, 6]);
                forged[0] ^= 1;
                udp.send_to(&forged, from).await.unwrap();
                udp.send_to(b"\xff", from).await.unwrap();
            }
            udp.send_to(&reply(query, manner), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let mut query = vec![0; stream.read_u16().await.unwrap().into()];
            stream.read_exact(&mut query).await.unwrap();
            let answer = answer(&query, 60, [192, 0, 2, 1]);
            stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    (at, asked)
}

fn reply(query: &[u8], manner: Manner) -> Vec<u8> {
    let mut packet = Packet::parse(query).unwrap().into_reply();
    match manner {
        Manner::Answers { ttl } => return answer(query, ttl, [192, 0, 2, 1]),
        Manner::Forges => return answer(query, 60, [192, 0, 2, 1]),
        Manner::AnswersByTcpAlone => packet.set_flags(PacketFlag::TRUNCATION),
        Manner::Fails => *packet.rcode_mut() = RCODE::ServerFailure,
        Manner::KnowsNothing => *packet.rcode_mut() = RCODE::NameError,
    }
    packet.build_bytes_vec().unwrap()
}

/// An alias and its address of the kind that was asked for.
fn answer(query: &[u8], ttl: u32, four: [u8; 4]) -> Vec<u8> {
    let mut packet = Packet::parse(query).unwrap().into_reply();
    let name = packet.questions[0].qname.clone();
    let alias = Name::new("edge.example.net").unwrap();
    let is_four = packet.questions[0].qtype == QTYPE::TYPE(TYPE::A);
    let rdata = if is_four {
        RData::A(A { address: u32::from_be_bytes(four) })
    } else {
        RData::AAAA(AAAA { address: "2001:db8::1".parse::<Ipv6Addr>().unwrap().to_bits() })
    };
    packet.answers.push(ResourceRecord::new(name, CLASS::IN, 3000, RData::CNAME(CNAME(alias.clone()))));
    packet.answers.push(ResourceRecord::new(alias, CLASS::IN, ttl, rdata));
    packet.build_bytes_vec().unwrap()
}

fn both() -> Vec<IpAddr> {
    vec!["2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap()]
}

#[tokio::test]
async fn addresses_of_both_kinds_are_found_behind_an_alias_and_kept() {
    let (at, asked) = server(Manner::Answers { ttl: 60 }).await;
    let servers = NameServers::new(Some(vec![at]));
    for _ in 0..3 {
        assert_eq!(*servers.look_up("api.openai.com").await.unwrap(), both());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_no_longer_holds_is_asked_for_again() {
    let (at, asked) = server(Manner::Answers { ttl: 60 }).await;
    let servers = NameServers::new(Some(vec![at]));
    servers.look_up("api.openai.com").await.unwrap();
    let mut kept = servers.kept.lock().unwrap().get("api.openai.com").unwrap().clone();
    let left = kept.until - Instant::now();
    assert!(left > Duration::from_secs(50) && left <= Duration::from_secs(60), "{left:?}");
    kept.until = Instant::now();
    servers.kept.lock().unwrap().insert("api.openai.com".into(), kept);
    servers.look_up("api.openai.com").await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_long_answer_comes_by_tcp_and_a_forged_one_is_passed_over() {
    for manner in [Manner::AnswersByTcpAlone, Manner::Forges] {
        let (at, _) = server(manner).await;
        assert_eq!(*NameServers::new(Some(vec![at])).look_up("api.openai.com").await.unwrap(), both());
    }
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_fails_but_not_where_it_knows_that_there_is_none() {
    let (failing, _) = server(Manner::Fails).await;
    let (answering, asked) = server(Manner::Answers { ttl: 60 }).await;
    let (knowing, _) = server(Manner::KnowsNothing).await;
    let found = NameServers::new(Some(vec![failing, answering])).look_up("api.openai.com").await;
    assert_eq!(*found.unwrap(), both());
    let before = asked.load(Ordering::SeqCst);
    let none = NameServers::new(Some(vec![knowing, answering])).look_up("api.openai.com").await.unwrap_err();
    assert_eq!((none.as_str(), asked.load(Ordering::SeqCst)), ("the name servers know no address of it", before));
    let failed = NameServers::new(Some(vec![failing])).look_up("api.openai.com").await.unwrap_err();
    assert!(failed.contains(&failing.to_string()) && failed.contains("`upstream.nameServers`"), "{failed}");
}

#[tokio::test]
async fn no_more_names_are_kept_than_the_bound() {
    let (at, _) = server(Manner::Answers { ttl: 60 }).await;
    let servers = NameServers::new(Some(vec![at]));
    for number in 0..MOST_KEPT + 5 {
        servers.look_up(&format!("n{number}.api.openai.com")).await.unwrap();
    }
    assert!(servers.kept.lock().unwrap().len() <= MOST_KEPT);
}

#[test]
fn servers_are_read_from_the_resolvers_configuration() {
    let text = "# nameserver 9.9.9.9\nsearch a.test\nnameserver 192.0.2.53\n nameserver\t2001:db8::53 # x\nnameserver fe80::1%eth0\n";
    let expected: Vec<SocketAddr> = vec!["192.0.2.53:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()];
    assert_eq!(servers(text), expected);
}
