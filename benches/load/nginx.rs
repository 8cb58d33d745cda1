//! nginx as a re-encrypting reverse proxy, the measure for the gate; only where it is installed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::certificate::{CA, HOST, KEY, LEAF};
use crate::free_address;
use crate::process::Process;

/// A running nginx.
pub(crate) struct Nginx {
    /// Its process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// Starts nginx with all its files in `folder`; `None` where there is no nginx.
    pub(crate) async fn start(folder: &Path, upstream: SocketAddr) -> anyhow::Result<Option<Self>> {
        let known = Command::new("nginx").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if known.is_err() {
            return Ok(None);
        }
        let address = free_address()?;
        let home = folder.join("nginx");
        fs::create_dir_all(&home)?;
        fs::write(home.join("nginx.conf"), configuration(folder, address, upstream))?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&home).args(["-c", "nginx.conf", "-e", "error.log"]);
        let process = Process::start(&mut command)?;
        for _ in 0..PATIENCE {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Some(Self { process, address }));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("nginx does not start: {}", fs::read_to_string(home.join("error.log")).unwrap_or_default())
    }
}

/// One process that is its own worker, so that ending it leaves nothing behind.
fn configuration(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let paper = |name: &str| folder.join(name).display().to_string();
    let (ca, leaf, key) = (paper(CA), paper(LEAF), paper(KEY));
    format!(
        r"daemon off; master_process off; pid nginx.pid; error_log error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  keepalive_requests 1000000000; keepalive_timeout 600s;
  upstream origin {{
    server {upstream};
    keepalive 512; keepalive_requests 1000000000; keepalive_timeout 600s;
  }}
  server {{
    listen {address} ssl;
    ssl_certificate {leaf}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;
    location / {{
      proxy_pass https://origin;
      proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host {HOST};
      proxy_ssl_server_name on; proxy_ssl_name {HOST}; proxy_ssl_protocols TLSv1.3;
      proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca};
      proxy_buffering off;
    }}
  }}
}}
"
    )
}

/// Tries, 10 ms apart.
const PATIENCE: u32 = 500;
