//! Dialling the addresses of one name: a later one is tried while an earlier one has not answered (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::sleep;

/// Dials `addresses` in turn, families alternating, each with a head start before the next; the first success wins.
///
/// # Errors
/// The last failure, where all failed.
pub(super) async fn first<T, F>(addresses: &[SocketAddr], dial: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    if let [only] = addresses {
        return dial(*only).await;
    }
    let mut waiting = alternating(addresses).into_iter().take(MOST);
    let mut begun = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = waiting.next() {
            begun.push(dial(address));
        }
        tokio::select! {
            ended = begun.next() => match ended {
                Some(Ok(connection)) => return Ok(connection),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = sleep(HEAD_START), if waiting.len() > 0 => {}
        }
    }
}

/// The same addresses, the first one's family and the other one by turns.
pub(super) fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let leads = |address: &SocketAddr| addresses.first().is_some_and(|first| first.is_ipv4() == address.is_ipv4());
    let (leading, others): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(leads);
    let mut others = others.into_iter();
    let mut all: Vec<SocketAddr> =
        leading.into_iter().flat_map(|address| [Some(address), others.next()]).flatten().collect();
    all.extend(others);
    all
}

/// How long one address is tried alone; RFC 8305 names this as its recommended value.
const HEAD_START: Duration = Duration::from_millis(250);

/// More addresses of one name are not tried.
const MOST: usize = 16;

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_alternate_and_nothing_is_lost() {
        for (given, tried) in [
            (vec!["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"], vec!["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]),
            (vec!["1.1.1.1:1", "[::1]:1", "[::2]:1"], vec!["1.1.1.1:1", "[::1]:1", "[::2]:1"]),
            (vec!["1.1.1.1:1"], vec!["1.1.1.1:1"]),
            (vec![], vec![]),
        ] {
            assert_eq!(alternating(&addresses(&given)), addresses(&tried), "{given:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_says_nothing_costs_a_head_start_and_not_the_limit() {
        let given = addresses(&["[::1]:1", "1.1.1.1:1"]);
        let begun = Instant::now();
        let dial = async |address: SocketAddr| if address.is_ipv4() { Ok(address) } else { pending().await };
        assert_eq!(first(&given, dial).await.unwrap(), given[1]);
        assert_eq!(begun.elapsed(), HEAD_START);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_refuses_costs_nothing() {
        let given = addresses(&["[::1]:1", "1.1.1.1:1"]);
        let begun = Instant::now();
        let refused = || Err(io::Error::from(io::ErrorKind::ConnectionRefused));
        let dial = async |address: SocketAddr| if address.is_ipv4() { Ok(address) } else { refused() };
        assert_eq!(first(&given, dial).await.unwrap(), given[1]);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_address_goes_on_while_others_are_tried_and_may_still_win() {
        let given = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1"]);
        let tried = RefCell::new(Vec::new());
        let dial = async |address: SocketAddr| {
            tried.borrow_mut().push(address);
            sleep(Duration::from_millis(if address == given[0] { 300 } else { 5000 })).await;
            Ok(address)
        };
        assert_eq!(first(&given, dial).await.unwrap(), given[0]);
        assert_eq!(*tried.borrow(), given[..2]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_failures_alone_the_last_is_told_and_no_address_is_one_too() {
        let refused = async |address: SocketAddr| io::Result::<()>::Err(io::Error::other(address.to_string()));
        let given = addresses(&["1.1.1.1:1", "2.2.2.2:2"]);
        assert_eq!(first(&given, refused).await.unwrap_err().to_string(), "2.2.2.2:2");
        assert_eq!(first(&[], refused).await.unwrap_err().to_string(), "the name has no address");
    }
}
