//! The store in a bucket: the same story against a server that speaks S3 (moto) and, by night, one that speaks Azure
//! (Azurite). `.ci/tools` installs the first, `.ci/nightly` the second.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::support::{Desk, QUESTION, Told, files};

/// A server on a port of its own, ended with the test.
struct Server {
    process: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// Starts a server, and waits until a line says its address after `before`.
    fn start(mut command: Command, before: &str) -> Server {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(process.stdout.take().unwrap()), Box::new(process.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            // Goes on reading, so that the server can go on writing.
            thread::spawn(move || {
                BufReader::new(stream).lines().map_while(Result::ok).for_each(|l| drop(sender.send(l)))
            });
        }
        drop(sender);
        let address = lines.iter().find_map(|line| {
            let rest = line.split_once(before)?.1;
            let end =
                rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
            Some(rest[..end].to_owned())
        });
        Server { process, address: address.expect("the server starts") }
    }

    /// A request without a body, and with a signature that this server does not look at; what it answers.
    fn request(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let signature = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: {signature}\r\n", self.address);
        stream.write_all(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
        answer
    }

    /// The files in the bucket `records` that have `part` in their name.
    fn files(&self, part: &str) -> Vec<String> {
        let listed = self.request("GET", "/records?list-type=2");
        let names = listed.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
        names.filter(|name| name.contains(part)).map(str::to_owned).collect()
    }
}

/// Where `.ci/tools` and `.ci/nightly` put the servers.
fn installed(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(path);
    assert!(path.exists(), "no `{}`: run `make tools`", path.display());
    path
}

struct Bucket {
    desk: Desk,
    variables: Vec<(&'static str, String)>,
    url: String,
}

impl Bucket {
    fn run_in(&self, home: &str, arguments: &[&str]) -> Told {
        let mut command = self.desk.command(&[&["--home", home], arguments].concat());
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        Told {
            code: output.status.code().unwrap(),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn run(&self, arguments: &[&str]) -> Told {
        self.run_in("home", arguments)
    }

    /// From an empty bucket to answers, a second snapshot, new keys, and two homes that both want to be next.
    fn story(&self, manifests: impl Fn() -> Option<usize>) {
        self.run(&["init", "--store", &self.url]).done();
        self.run(&["contract", "publish", "star.json"]).done();
        self.run(&["memorandum", "sign", "star-1.toml"]).done();
        self.run(&["ingest", "star", "results=star.csv"]).done();
        let first = self.ask(&[QUESTION]);
        self.run(&["ingest", "star", "results=star.csv"]).done();
        assert_eq!(self.ask(&["--fresh", QUESTION])["replayed"], false);
        self.run(&["keys", "rotate", "all"]).done();
        assert_eq!(
            self.ask(&["--fresh", QUESTION])["rows"].as_array().unwrap().len(),
            first["rows"].as_array().unwrap().len()
        );
        self.run(&["log", "verify"]).done();
        let home = self.desk.path("home");
        let here = files(&home);
        assert!(here.iter().all(|file| !file.to_str().unwrap().ends_with(".parquet")), "{here:?}");
        let text = fs::read_to_string(home.join("store.url")).unwrap();
        assert_eq!(text, self.url);

        // A second home with the same keys and the same store: of two that ingest at once, each puts another snapshot
        // in force or is told that it was not quick enough.
        let copied = Command::new("cp").arg("-a").args([&home, &self.desk.path("other")]).status().unwrap();
        assert!(copied.success());
        let before = manifests();
        let both = ["home", "other"].map(|home| home.to_owned());
        let told: Vec<Told> = thread::scope(|scope| {
            let running = both
                .each_ref()
                .map(|home| scope.spawn(|| self.run_in(home, &["ingest", "star", "results=star.csv"])));
            running.into_iter().map(|running| running.join().unwrap()).collect()
        });
        let won = told.iter().filter(|told| told.code == 0).count();
        assert!(won >= 1, "{told:?}");
        for told in told.iter().filter(|told| told.code != 0) {
            assert!(told.err.contains("another ingest"), "{}", told.err);
        }
        assert_eq!(manifests(), before.map(|before| before + won), "each winner has a number of its own");
    }

    fn ask(&self, arguments: &[&str]) -> serde_json::Value {
        self.run(&[&["ask", "-m", "star-1", "--format", "json"], arguments].concat()).done().json()
    }
}

#[test]
fn a_bucket_that_speaks_s3_holds_the_store() {
    let mut moto = Command::new(installed("storage/bin/moto_server"));
    moto.args(["-H", "127.0.0.1", "-p", "0"]);
    let server = Server::start(moto, "http://");
    server.request("PUT", "/records");
    let desk = Desk::with_papers();
    let variables = [
        ("AWS_ENDPOINT", format!("http://{}", server.address)),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
    ];
    let bucket = Bucket { desk, variables: variables.to_vec(), url: "s3://records/enclave".to_owned() };
    bucket.run(&["init", "--store", "ftp://records"]).exits(2).says(["names no store"]);
    bucket.run(&["init", "--store", "file:///records"]).exits(2).says(["neither `s3://bucket/prefix` nor"]);
    fs::remove_dir_all(bucket.desk.path("home")).unwrap();
    bucket.story(|| Some(server.files("/manifests/").len()));

    // A file that somebody emptied is noticed before any number comes out.
    for part in server.files("/results/part-") {
        server.request("PUT", &format!("/records/{part}"));
    }
    let told = bucket.run(&["ask", "-m", "star-1", "--fresh", QUESTION]);
    assert!(told.code == 1 && told.out.is_empty(), "{told:?}");
}

#[test]
#[ignore = "by night: `.ci/nightly` installs Azurite"]
fn a_container_that_speaks_azure_holds_the_store() {
    let mut azurite = Command::new(installed("azurite/node_modules/.bin/azurite-blob"));
    azurite.args(["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]);
    azurite.args(["--blobHost", "127.0.0.1", "--blobPort", "0"]);
    let server = Server::start(azurite, "listens on http://");
    let make = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/storage/container.py");
    let made = Command::new("python3").arg(make).args([&server.address, "records"]).status().unwrap();
    assert!(made.success());
    let desk = Desk::with_papers();
    let variables = [
        ("AZURE_STORAGE_USE_EMULATOR", "true".to_owned()),
        ("AZURITE_BLOB_STORAGE_URL", format!("http://{}", server.address)),
    ];
    Bucket { desk, variables: variables.to_vec(), url: "az://records/enclave".to_owned() }.story(|| None);
}
