//! What an isolated program is told when it asks for a name: an address that stands for it, and nothing else.

use std::net::{Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE};

use crate::net::host::Host;
use crate::system::isolation::addresses::{v4_of, v6_of};
use crate::system::isolation::names::Names;

/// The answer to one question of RFC 1035, without the length that TCP puts before it; `None` for what is no question.
///
/// Only addresses are told: no HTTPS and no SVCB records, hence no ECH and no hint that leads elsewhere.
pub fn answer(question: &[u8], names: &mut Names, v6: bool) -> Option<Vec<u8>> {
    // An answer, or what is too short to be answered.
    if question.len() < HEADER || question[2] & 0x80 != 0 {
        return None;
    }
    let Ok(asked) = Packet::parse(question) else {
        let id = u16::from_be_bytes([question[0], question[1]]);
        return finished(Packet::new_reply(id), RCODE::FormatError);
    };
    let mut reply = Packet::new_reply(asked.id());
    *reply.opcode_mut() = asked.opcode();
    if asked.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    if asked.opcode() != OPCODE::StandardQuery {
        return finished(reply, RCODE::NotImplemented);
    }
    let [one] = &asked.questions[..] else { return finished(reply, RCODE::FormatError) };
    reply.questions.push(one.clone());
    match addresses(one, names, v6) {
        Ok(found) => {
            let record = |data| ResourceRecord::new(one.qname.clone(), CLASS::IN, LIFETIME, data);
            reply.answers.extend(found.map(record));
            finished(reply, RCODE::NoError)
        }
        Err(code) => finished(reply, code),
    }
}

fn addresses(question: &Question<'_>, names: &mut Names, v6: bool) -> Result<Option<RData<'static>>, RCODE> {
    if question.qclass != QCLASS::CLASS(CLASS::IN) {
        return Err(RCODE::Refused);
    }
    let Ok(Host::Name(name)) = question.qname.to_string().parse() else { return Err(RCODE::NameError) };
    // Addresses have no names here; and Firefox takes this one's absence as the wish that it asks nobody else.
    if below(&name, "arpa") || below(&name, "use-application-dns.net") {
        return Err(RCODE::NameError);
    }
    let is_own = below(&name, "localhost");
    let mut number = || names.number(&name).ok_or(RCODE::ServerFailure);
    Ok(match question.qtype {
        QTYPE::TYPE(TYPE::A) if is_own => Some(a(Ipv4Addr::LOCALHOST)),
        QTYPE::TYPE(TYPE::AAAA) if is_own => Some(aaaa(Ipv6Addr::LOCALHOST)),
        QTYPE::TYPE(TYPE::A) | QTYPE::ANY => Some(a(v4_of(number()?))),
        QTYPE::TYPE(TYPE::AAAA) if v6 => Some(aaaa(v6_of(number()?))),
        _ => None,
    })
}

fn a(address: Ipv4Addr) -> RData<'static> {
    RData::A(A { address: address.into() })
}

fn aaaa(address: Ipv6Addr) -> RData<'static> {
    RData::AAAA(AAAA { address: address.into() })
}

fn below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|left| left.is_empty() || left.ends_with('.'))
}

fn finished(mut reply: Packet<'_>, code: RCODE) -> Option<Vec<u8>> {
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    *reply.rcode_mut() = code;
    reply.build_bytes_vec().ok()
}

/// Bytes of a message's head.
const HEADER: usize = 12;
/// Seconds for which an address may be kept.
const LIFETIME: u32 = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::Name;

    use super::*;

    fn ask(name: &str, kind: QTYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(Name::new(name).unwrap(), kind, QCLASS::CLASS(CLASS::IN), false));
        packet.build_bytes_vec().unwrap()
    }

    fn told(question: &[u8], names: &mut Names, v6: bool) -> (RCODE, Vec<String>) {
        let bytes = answer(question, names, v6).unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.id(), 7);
        assert!(packet.has_flags(PacketFlag::RESPONSE | PacketFlag::RECURSION_AVAILABLE));
        let shown = packet.answers.iter().map(|record| match &record.rdata {
            RData::A(a) => Ipv4Addr::from(a.address).to_string(),
            RData::AAAA(aaaa) => Ipv6Addr::from(aaaa.address).to_string(),
            other => format!("{other:?}"),
        });
        (packet.rcode(), shown.collect())
    }

    #[test]
    fn names_get_addresses_and_nothing_else() {
        let mut names = Names::default();
        let none = Vec::<String>::new;
        for (name, kind, code, found) in [
            ("api.openai.com", TYPE::A, RCODE::NoError, vec!["198.18.1.0".to_owned()]),
            ("API.OpenAI.com", TYPE::AAAA, RCODE::NoError, vec!["fd74:6f6c:6c67::1:0".to_owned()]),
            ("example.com", TYPE::A, RCODE::NoError, vec!["198.18.1.1".to_owned()]),
            ("api.openai.com", TYPE::HTTPS, RCODE::NoError, none()),
            ("api.openai.com", TYPE::SVCB, RCODE::NoError, none()),
            ("api.openai.com", TYPE::TXT, RCODE::NoError, none()),
            ("api.openai.com", TYPE::MX, RCODE::NoError, none()),
            ("localhost", TYPE::A, RCODE::NoError, vec!["127.0.0.1".to_owned()]),
            ("app.localhost", TYPE::AAAA, RCODE::NoError, vec!["::1".to_owned()]),
            ("1.1.18.198.in-addr.arpa", TYPE::PTR, RCODE::NameError, none()),
            ("_dns.resolver.arpa", TYPE::SVCB, RCODE::NameError, none()),
            ("use-application-dns.net", TYPE::A, RCODE::NameError, none()),
            ("db", TYPE::A, RCODE::NoError, vec!["198.18.1.2".to_owned()]),
        ] {
            assert_eq!(told(&ask(name, QTYPE::TYPE(kind)), &mut names, true), (code, found), "{name} {kind:?}");
        }
        let without = told(&ask("example.com", QTYPE::TYPE(TYPE::AAAA)), &mut names, false);
        assert_eq!(without, (RCODE::NoError, none()), "no IPv6, no such address");
    }

    #[test]
    fn names_stay_as_the_program_wrote_them() {
        let bytes = answer(&ask("ApI.openai.COM", QTYPE::TYPE(TYPE::A)), &mut Names::default(), true).unwrap();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.questions[0].qname.to_string(), "ApI.openai.COM");
    }

    #[test]
    fn what_cannot_be_answered_is_refused_and_answers_are_not_answered() {
        let mut names = Names::with_room(0);
        assert_eq!(told(&ask("example.com", QTYPE::TYPE(TYPE::A)), &mut names, true).0, RCODE::ServerFailure);
        let mut chaos = ask("version.bind", QTYPE::TYPE(TYPE::TXT));
        let last = chaos.len() - 1;
        chaos[last] = 3;
        assert_eq!(told(&chaos, &mut names, true).0, RCODE::Refused);
        let mut update = ask("example.com", QTYPE::TYPE(TYPE::A));
        update[2] |= 5 << 3;
        assert_eq!(told(&update, &mut names, true).0, RCODE::NotImplemented);
        let reply = answer(&ask("example.com", QTYPE::TYPE(TYPE::A)), &mut Names::default(), true).unwrap();
        assert_eq!(answer(&reply, &mut Names::default(), true), None);
        assert_eq!(answer(b"short", &mut Names::default(), true), None);
        let cut = &ask("example.com", QTYPE::TYPE(TYPE::A))[..18];
        assert_eq!(told(cut, &mut names, true).0, RCODE::FormatError);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = answer(&bytes, &mut Names::default(), true);
        }

        #[test]
        fn any_damage_to_a_question_is_survived(at in 0usize..40, value in any::<u8>()) {
            let mut question = ask("api.openai.com", QTYPE::TYPE(TYPE::A));
            let at = at % question.len();
            question[at] = value;
            let _ = answer(&question, &mut Names::default(), true);
        }
    }
}
