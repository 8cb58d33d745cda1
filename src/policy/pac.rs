//! The script by which a browser, or a whole desktop, finds its proxy: intercepted hosts to the gate, all else past it.

use std::net::SocketAddr;

use crate::policy::auditing::Auditing;
use crate::policy::interception::Interception;

/// The path at which the script is asked for.
pub const PATH: &str = "/proxy.pac";

/// Its media type.
pub const TYPE: &str = "application/x-ns-proxy-autoconfig";

/// The script, for who reaches the gate at `proxy`.
///
/// Written for the oldest engines that still read such scripts. Where auditing is not mandatory, a browser that does not
/// reach the gate goes past it.
pub fn script(interception: &Interception, auditing: Auditing, proxy: SocketAddr) -> String {
    let hosts: Vec<String> = interception.hosts().iter().map(|pattern| quoted(pattern.name())).collect();
    let (hosts, proxy) = (hosts.join(", "), SocketAddr::new(proxy.ip().to_canonical(), proxy.port()));
    let fallback = if auditing.mandatory { "" } else { "; DIRECT" };
    let way = quoted(&format!("PROXY {proxy}{fallback}"));
    format!(
        "\
// Tollgate: these hosts, with their subdomains, go through the gate; all else goes its own way.
var hosts = [{hosts}];

function lies_below(name, domain) {{
  var end = name.length - domain.length;
  if (end < 0 || name.substring(end) !== domain) return false;
  return end === 0 || name.charAt(end - 1) === \".\";
}}

function FindProxyForURL(url, host) {{
  var name = String(host).toLowerCase();
  if (name.charAt(name.length - 1) === \".\") name = name.substring(0, name.length - 1);
  // There OpenAI knows a client by a certificate whose key the gate has not.
  if (/^mtls(-.*)?\\.api\\.openai\\.com$/.test(name)) return \"DIRECT\";
  for (var at = 0; at < hosts.length; at++) {{
    if (lies_below(name, hosts[at])) return {way};
  }}
  return \"DIRECT\";
}}
"
    )
}

/// A text of JavaScript; nothing in it ends the text, a line or a page's script.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for unit in text.encode_utf16() {
        match char::from_u32(unit.into()) {
            Some(letter) if letter.is_ascii_alphanumeric() || " .:;-_[]".contains(letter) => quoted.push(letter),
            _ => quoted.push_str(&format!("\\u{unit:04x}")),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_names_the_hosts_and_the_way_with_or_without_one_around_the_gate() {
        for (mandatory, proxy, way) in [
            (false, "127.0.0.1:8484", r#""PROXY 127.0.0.1:8484; DIRECT""#),
            (true, "127.0.0.1:8484", r#""PROXY 127.0.0.1:8484""#),
            (false, "[::1]:1", r#""PROXY [::1]:1; DIRECT""#),
            (true, "[::ffff:192.0.2.7]:8484", r#""PROXY 192.0.2.7:8484""#),
        ] {
            let hosts = ["API.openai.com", "eu.example.com."].map(|host| host.parse().unwrap());
            let auditing = Auditing { mandatory, ..Auditing::default() };
            let script = script(&Interception::new(hosts.into()), auditing, proxy.parse().unwrap());
            assert!(script.contains(&format!("return {way};")), "{script}");
            assert!(script.contains(r#"var hosts = ["api.openai.com", "eu.example.com"];"#), "{script}");
            assert_eq!(script.matches("DIRECT").count(), if mandatory { 2 } else { 3 });
        }
    }

    #[test]
    fn no_name_ends_its_text() {
        assert_eq!(quoted("a.b-c_d"), r#""a.b-c_d""#);
        assert_eq!(
            quoted("a\"; x\\\n</script>\u{2028}é"),
            r#""a\u0022; x\u005c\u000a\u003c\u002fscript\u003e\u2028\u00e9""#
        );
    }
}
