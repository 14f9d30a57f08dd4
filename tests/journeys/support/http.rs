//! [`Served`]: an enclave on ports of its own, and a client that says what it sends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Desk, Told};

/// A server, ended with the test.
pub(crate) struct Served {
    process: Child,
    pub(crate) http: String,
    pub(crate) flight: String,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.text());
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &&str| line.split_once(':').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        self.head.lines().find(line)?.split_once(':').map(|(_, value)| value.trim())
    }
}

impl Served {
    /// Serves a desk's enclave; without TLS where `plain`, so that bytes can be sent as they are.
    pub(crate) fn start(desk: &Desk, plain: bool, settings: &[&str]) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enclave"));
        command.current_dir(desk.folder()).env_remove("ENCLAVE_HOME").env_remove("ENCLAVE_PERSON");
        command.args(["serve", "--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"]);
        if plain {
            command.arg("--plain");
        }
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let said = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.starts_with("serving "))
            .expect("the server starts");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let address = |scheme: &str| {
            let rest = said.split(scheme).nth(1).unwrap();
            rest.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next().unwrap().to_owned()
        };
        let (http, flight) = if plain { ("http://", "grpc://") } else { ("https://", "grpc+tls://") };
        Served { http: address(http), flight: address(flight), process }
    }

    /// A request with a JSON body, as whoever holds the token.
    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: &Value) -> Answer {
        self.send_with(method, path, token, &[], Some(body.to_string().as_bytes()))
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Answer {
        self.send_with("GET", path, token, &[], None)
    }

    pub(crate) fn send_with(
        &self,
        method: &str,
        path: &str,
        token: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.http);
        if !token.is_empty() {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        self.raw([format!("{head}\r\n").as_bytes(), body.unwrap_or_default()].concat().as_slice())
    }

    /// Bytes as they are.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        // A server that has heard enough closes while we are still writing.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer with a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = answer.split_off(end + 4);
        if head.to_lowercase().contains("transfer-encoding: chunked") {
            body = unchunked(&body);
        }
        Answer { status, head, body }
    }

    /// Makes a log-in for an invited person; its session.
    pub(crate) fn join(&self, desk: &Desk, person: &str, login: &str) -> String {
        self.joined(desk.run(["people", "invite", person]).done(), login)
    }

    /// The same where a steward is registered, who invites.
    pub(crate) fn join_by(&self, desk: &Desk, steward: &str, person: &str, login: &str) -> String {
        self.joined(desk.run(["--as", steward, "people", "invite", person]).done(), login)
    }

    fn joined(&self, invited: Told, login: &str) -> String {
        let link = invited.text();
        let secret = link.trim().rsplit('/').next().unwrap().to_owned();
        let body = serde_json::json!({ "invitation": secret, "login": login, "password": PASSWORD });
        self.send("POST", "/api/v1/invitations/accept", "", &body).is(201);
        self.log_in(login)
    }

    /// A session.
    pub(crate) fn log_in(&self, login: &str) -> String {
        let body = serde_json::json!({ "login": login, "password": PASSWORD });
        let session = self.send("POST", "/api/v1/sessions", "", &body).is(201).json();
        session["token"].as_str().unwrap().to_owned()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> std::process::ExitStatus {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.process.wait().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A password of several words.
pub(crate) const PASSWORD: &str = "seventeen herons cross the bay";

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&bytes[..line]), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&bytes[line + 2..line + 2 + size]);
        bytes = &bytes[line + 2 + size + 2..];
    }
    whole
}
