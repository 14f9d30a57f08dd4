//! A hundred researchers at once, over HTTP and Flight SQL with TLS: previews, questions, and answers again. Each pauses
//! between requests. ENCLAVE_LOAD_SECONDS says for how long: 60, or 600.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow_flight::sql::client::FlightSqlServiceClient;
use datasets_synthetic::STAR_CONTRACT;
use futures::TryStreamExt;
use reqwest::{Certificate, Client, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tonic::transport::{Certificate as Trusted, Channel, ClientTlsConfig, Endpoint};

use crate::{process, round, star_csv};

const RESEARCHERS: u64 = 100;
const SECONDS: u64 = 60;
/// Between two requests of one researcher.
const PAUSE: Duration = Duration::from_millis(500);
const QUESTION: &str = "SELECT cltype, COUNT(*) AS n FROM results WHERE gr = 'K' GROUP BY cltype";
/// One millionth each, so that ten minutes are paid for.
const PRICE: f64 = 0.000_001;
const PASSWORD: &str = "seventeen herons cross the bay";

/// What came of all requests.
#[derive(Default)]
struct Tally {
    previews: AtomicU64,
    fresh: AtomicU64,
    refused: AtomicU64,
    others: Mutex<Vec<String>>,
    replays: Mutex<Vec<f64>>,
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run(runtime: &Runtime) -> Value {
    let seconds = std::env::var("ENCLAVE_LOAD_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("star.json"), STAR_CONTRACT).unwrap();
    std::fs::write(path("load.toml"), memorandum()).unwrap();
    let home = path("home");
    let enclave = |arguments: &[&str]| process::run(&[&["--home", home.as_str()], arguments].concat());
    enclave(&["init"]);
    enclave(&["contract", "publish", &path("star.json")]);
    enclave(&["ingest", "star", &format!("results={}", star_csv().display())]);
    enclave(&["memorandum", "sign", &path("load.toml")]);

    let (server, http, flight) = serve(&home);
    let certificate = std::fs::read(Path::new(&home).join("tls/certificate.pem")).unwrap();
    let tally = Arc::new(Tally::default());
    let (early, late) = runtime.block_on(async {
        let client = Client::builder()
            .add_root_certificate(Certificate::from_pem(&certificate).unwrap())
            .build()
            .unwrap();
        let mut tokens = Vec::new();
        for i in 0..RESEARCHERS {
            tokens.push(join(&client, &http, &home, i).await);
        }
        let until = Instant::now() + Duration::from_secs(seconds);
        let trusted = Trusted::from_pem(&certificate);
        let researchers: Vec<_> = tokens
            .into_iter()
            .enumerate()
            .map(|(i, token)| {
                let (client, http, tally) = (client.clone(), http.clone(), tally.clone());
                let (flight, trusted) = (flight.clone(), trusted.clone());
                tokio::spawn(async move {
                    let tls = ClientTlsConfig::new().ca_certificate(trusted).domain_name("localhost");
                    let channel = Endpoint::from_shared(format!("https://{flight}")).unwrap();
                    let channel = channel.tls_config(tls).unwrap().connect().await.unwrap();
                    researcher(i as u64, &client, &http, channel, &token, &tally, until).await;
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(seconds / 5)).await;
        let early = resident_mb(server.0.id());
        for researcher in researchers {
            researcher.await.unwrap();
        }
        (early, resident_mb(server.0.id()))
    });
    drop(server);
    enclave(&["log", "verify"]);
    let charged = process::output(&["--home", &home, "budget", "-m", "load", "--format", "json"]);
    let charged: Value = serde_json::from_slice(&charged).unwrap();
    let charged = charged[0]["charged"]["rho"].as_f64().unwrap();
    let fresh = tally.fresh.load(Ordering::Relaxed);
    let mut replays = runtime.block_on(tally.replays.lock()).clone();
    replays.sort_by(f64::total_cmp);
    let at = |share: f64| replays[((replays.len() - 1) as f64 * share) as usize] * 1e3;
    json!({
        "seconds": seconds,
        "researchers": RESEARCHERS,
        "pause_ms": PAUSE.as_millis() as u64,
        "requests": { "replayed": replays.len(), "fresh": fresh, "preview": tally.previews.load(Ordering::Relaxed),
            "refused": tally.refused.load(Ordering::Relaxed) },
        "other_answers": *runtime.block_on(tally.others.lock()),
        "replay_ms": { "median": round(at(0.5)), "p99": { "measured": round(at(0.99)), "at_most": 50 } },
        "charged_in_prices": { "measured": (charged / PRICE).round() as u64, "wanted": fresh },
        "memory_mb": { "after_a_fifth": round(early), "at_the_end": round(late),
            "growth": { "measured": round(late / early), "at_most": 1.1 } },
    })
}

fn memorandum() -> String {
    let people: Vec<String> = (0..RESEARCHERS)
        .map(|i| format!("{{ id = \"r{i}\", name = \"Researcher\", role = \"researcher\" }}"))
        .collect();
    format!(
        "id = \"load\"\ncontract = \"star\"\ntitle = {{ en = \"Load\" }}\ninstitution = \"Bench\"\n\
         purpose = {{ en = \"Bench\" }}\nuse_case = \"bench\"\nvalid = {{ from = 2020-01-01, until = 2099-12-31 }}\n\
         rules = \"standard\"\npeople = [ {} ]\n\
         items = [ {{ table = \"results\", columns = [\"gr\", \"cltype\", \"math\"] }} ]\n\
         [allotment]\nrho = 1.0\ndelta = 1e-6\ndefault_rho = 0.01\n",
        people.join(", ")
    )
}

fn serve(home: &str) -> (Server, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_enclave"))
        .args(["--home", home, "serve", "--http", "127.0.0.1:0", "--flight", "127.0.0.1:0"])
        .args(["--set", "limits.log_ins_per_minute=10000", "--set", "log.level=\"warn\""])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let said = lines.find(|line| line.starts_with("serving ")).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let port = |scheme: &str| {
        let address = said.split(scheme).nth(1).unwrap();
        let port: String =
            address.split(':').nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
        format!("localhost:{port}")
    };
    (Server(child), port("https://"), port("grpc+tls://"))
}

async fn join(client: &Client, http: &str, home: &str, i: u64) -> String {
    let person = format!("load/r{i}");
    let home = home.to_owned();
    let invited =
        tokio::task::spawn_blocking(move || process::output(&["--home", &home, "people", "invite", &person]));
    let link = String::from_utf8(invited.await.unwrap()).unwrap();
    let secret = link.trim().rsplit('/').next().unwrap();
    let login = format!("researcher-{i}");
    let body = json!({ "invitation": secret, "login": login, "password": PASSWORD });
    let accept =
        client.post(format!("https://{http}/api/v1/invitations/accept")).json(&body).send().await.unwrap();
    assert_eq!(accept.status(), StatusCode::CREATED);
    let body = json!({ "login": login, "password": PASSWORD });
    let session = client.post(format!("https://{http}/api/v1/sessions")).json(&body).send().await.unwrap();
    session.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
}

async fn researcher(
    i: u64,
    client: &Client,
    http: &str,
    channel: Channel,
    token: &str,
    tally: &Tally,
    until: Instant,
) {
    let mut flight = FlightSqlServiceClient::new(channel);
    flight.set_token(token.to_owned());
    let again = format!("{QUESTION} -- enclave: rho={PRICE:.6}");
    let mut turn = i;
    while Instant::now() < until {
        let begun = Instant::now();
        match turn % 10 {
            0 => {
                let body = json!({ "memorandum": "load", "sql": QUESTION, "rho": PRICE, "fresh": true });
                if post(client, http, "", token, &body, tally).await.is_some() {
                    tally.fresh.fetch_add(1, Ordering::Relaxed);
                }
            }
            1 | 2 => {
                let body = json!({ "memorandum": "load", "sql": QUESTION, "rho": PRICE });
                if post(client, http, "/preview", token, &body, tally).await.is_some() {
                    tally.previews.fetch_add(1, Ordering::Relaxed);
                }
            }
            3 => {
                let body = json!({ "memorandum": "load", "sql": "SELECT * FROM results" });
                let url = format!("https://{http}/api/v1/questions");
                let sent = client.post(url).bearer_auth(token).json(&body).send().await;
                match sent.map(|answer| answer.status()) {
                    Ok(StatusCode::UNPROCESSABLE_ENTITY) => {
                        tally.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    other => tally.others.lock().await.push(format!("{other:?}")),
                }
            }
            4..=6 => {
                let body = json!({ "memorandum": "load", "sql": QUESTION, "rho": PRICE });
                // Until the first is on record, each of those that ask is charged.
                match post(client, http, "", token, &body, tally).await {
                    Some(answer) if answer["replayed"] == true => {
                        tally.replays.lock().await.push(begun.elapsed().as_secs_f64());
                    }
                    Some(_) => {
                        tally.fresh.fetch_add(1, Ordering::Relaxed);
                    }
                    None => {}
                }
            }
            _ => match fetch(&mut flight, &again, tally).await {
                Ok(()) => {}
                Err(error) => tally.others.lock().await.push(error),
            },
        }
        turn += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

async fn post(
    client: &Client,
    http: &str,
    rest: &str,
    token: &str,
    body: &Value,
    tally: &Tally,
) -> Option<Value> {
    let sent =
        client.post(format!("https://{http}/api/v1/questions{rest}")).bearer_auth(token).json(body).send();
    let read = match sent.await {
        Ok(answer) if answer.status() == StatusCode::OK => {
            answer.json::<Value>().await.map_err(|e| e.to_string())
        }
        Ok(answer) => Err(format!("{} {}", answer.status(), answer.text().await.unwrap_or_default())),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = &read {
        tally.others.lock().await.push(error.clone());
    }
    read.ok()
}

/// The answer on record, by the two calls that it takes.
async fn fetch(flight: &mut FlightSqlServiceClient<Channel>, sql: &str, tally: &Tally) -> Result<(), String> {
    let begun = Instant::now();
    let info = flight.execute(sql.to_owned(), None).await.map_err(|error| error.to_string())?;
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let stream = flight.do_get(ticket).await.map_err(|error| error.to_string())?;
    let rows: Vec<_> = stream.try_collect().await.map_err(|error| error.to_string())?;
    assert!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>() > 0);
    let replayed = rows[0].schema_ref().metadata().get("enclave:replayed").is_some_and(|word| word == "true");
    if replayed {
        tally.replays.lock().await.push(begun.elapsed().as_secs_f64());
    } else {
        tally.fresh.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn resident_mb(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}
