//! The property list of an agent for launchd, as `launchd.plist(5)` describes it.

use crate::cli::service::{Service, for_shell, shown};

/// The agent.
pub(super) fn agent(service: &Service) -> String {
    let words: String =
        service.words().iter().map(|word| format!("\t\t<string>{}</string>\n", escaped(word))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n\
         <dict>\n\
         \t<key>Label</key>\n\t<string>{LABEL}</string>\n\
         \t<key>ProgramArguments</key>\n\t<array>\n{words}\t</array>\n\
         \t<key>RunAtLoad</key>\n\t<true/>\n\
         \t<key>KeepAlive</key>\n\t<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>\n\t</dict>\n\
         \t<key>ExitTimeOut</key>\n\t<integer>{patience}</integer>\n\
         \t<key>Umask</key>\n\t<integer>{UMASK}</integer>\n\
         \t<key>HardResourceLimits</key>\n\t<dict>\n\t\t<key>Core</key>\n\t\t<integer>0</integer>\n\t</dict>\n\
         \t<key>ProcessType</key>\n\t<string>Interactive</string>\n\
         </dict>\n\
         </plist>\n",
        patience = service.patience(),
    )
}

/// How to install it.
pub(super) fn steps(service: &Service) -> Vec<String> {
    let config =
        service.config.as_ref().map(|file| format!(" --config {}", for_shell(&shown(file)))).unwrap_or_default();
    let program = for_shell(&shown(&service.program));
    let file = format!("~/Library/LaunchAgents/{LABEL}.plist");
    vec![
        "mkdir -p ~/Library/LaunchAgents".to_owned(),
        format!("{program} service --launchd{config} > {file}"),
        format!("launchctl bootstrap gui/$(id -u) {file}"),
    ]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const LABEL: &str = "dev.tollgate.gate";

/// 077, which a property list can only say in decimal.
const UMASK: u32 = 0o077;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::service::example;

    #[test]
    fn an_agent_names_this_program_and_its_configuration_word_by_word() {
        let service = Service { program: "/opt/<a&b>/tollgate".into(), ..example() };
        let text = agent(&service);
        let words = [
            "<string>/opt/&lt;a&amp;b&gt;/tollgate</string>",
            "<string>serve</string>",
            "<string>/home/me/100%/$a \"b\"/tollgate.json5</string>",
            "<key>ExitTimeOut</key>\n\t<integer>615</integer>",
            "<key>Umask</key>\n\t<integer>63</integer>",
        ];
        for word in words {
            assert!(text.contains(word), "{word} is not in\n{text}");
        }
        assert_eq!(steps(&service).len(), 3);
    }
}
