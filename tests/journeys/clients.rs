//! The interfaces that researchers' tools speak, by those tools: the Python package over ADBC and HTTP with TLS, its
//! notebook, a validator of the OpenAPI document, and schemathesis against every route of it. `.ci/tools` installs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::{Desk, PASSWORD, Served, repository};

/// Where `.ci/tools` put Python with what a list of requirements names.
fn installed(list: &str, name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(list).join("bin").join(name);
    assert!(path.exists(), "no `{}`: run `make tools`", path.display());
    path
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_python_package_and_its_notebook() {
    let desk = Desk::with_star();
    // Log-ins are in the ledger: what a server without TLS makes is there for the one with it.
    let plain = Served::start(&desk, true, &[]);
    plain.join(&desk, "star-1/r1", "hanako");
    plain.stop();
    let served = Served::start(&desk, false, &["limits.log_ins_per_minute=1000"]);
    let folder = repository().join("clients/python");
    succeeds(
        Command::new(installed("clients", "python"))
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
            .current_dir(&folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONPATH", folder.join("src"))
            .env("ENCLAVE_URL", format!("https://{}", served.http))
            .env("ENCLAVE_FLIGHT", format!("grpc+tls://{}", served.flight))
            .env("ENCLAVE_CERTIFICATE", desk.home().join("tls/certificate.pem"))
            .env("ENCLAVE_LOGIN", "hanako")
            .env("ENCLAVE_PASSWORD", PASSWORD)
            .env("ENCLAVE_MEMORANDUM", "star-1"),
    );
    desk.run(["log", "verify"]).done();
}

#[test]
fn the_document_and_every_route_in_it() {
    let desk = Desk::with_star();
    let settings = ["limits.log_ins_per_minute=100000", "limits.requests_per_minute=100000"];
    let served = Served::start(&desk, true, &settings);
    let token = served.join(&desk, "star-1/r1", "hanako");
    desk.run(["people", "add", "b1", "--name", "Board", "--role", "board"]).done();
    let board = served.join(&desk, "b1", "ben");
    desk.run(["people", "add", "s1", "--name", "Steward", "--role", "steward"]).done();
    let steward = served.join_by(&desk, "s1", "s1", "sato");
    let token = served
        .send(
            "POST",
            "/api/v1/tokens",
            &token,
            &json!({ "label": "t", "scopes": ["read", "preview", "ask"], "days": 1 }),
        )
        .is(201)
        .json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    desk.write("openapi.json", &desk.run(["serve", "--openapi"]).done().text());
    succeeds(Command::new(installed("clients", "openapi-spec-validator")).arg(desk.path("openapi.json")));
    let examples = std::env::var("ENCLAVE_EXAMPLES").unwrap_or_else(|_| "10".to_owned());
    // A token's, and sessions of who may change what the token may not. None ends itself, or waits for a job's end.
    for (token, examples) in [(&token, examples.as_str()), (&steward, "3"), (&board, "3")] {
        succeeds(
            Command::new(installed("clients", "schemathesis"))
                .args(["run", "--url", &format!("http://{}", served.http)])
                .args(["--header", &format!("Authorization: Bearer {token}")])
                .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,unsupported_method"])
                .args(["--exclude-path", "/api/v1/sessions/current", "--exclude-path-regex", "/events$|/password$"])
                .args(["--max-examples", examples, "--phases", "examples,coverage,fuzzing", "--no-color"])
                .arg(desk.path("openapi.json"))
                .current_dir(desk.folder()),
        );
    }
    served.get("/healthz", "").is(200);
    desk.run(["--as", "s1", "log", "verify"]).done();
}

/// Log-ins at a university's provider: one that others wrote, and two that lie in every way that is refused.
#[test]
fn log_ins_at_an_identity_provider() {
    succeeds(
        Command::new(installed("server", "python"))
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "oidc.py"])
            .current_dir(repository().join("tests/server"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("ENCLAVE_BIN", env!("CARGO_BIN_EXE_enclave")),
    );
}

/// Passkeys, by an authenticator in software.
#[test]
fn passkeys_as_second_factor() {
    let desk = Desk::with_star();
    let plain = Served::start(&desk, true, &[]);
    plain.join(&desk, "star-1/r1", "hanako");
    plain.stop();
    let served = Served::start(&desk, false, &["limits.log_ins_per_minute=1000"]);
    let port = served.http.rsplit(':').next().unwrap();
    succeeds(
        Command::new(installed("server", "python"))
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "passkeys.py"])
            .current_dir(repository().join("tests/server"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("ENCLAVE_URL", format!("https://localhost:{port}"))
            .env("ENCLAVE_CERTIFICATE", desk.home().join("tls/certificate.pem"))
            .env("ENCLAVE_LOGIN", "hanako")
            .env("ENCLAVE_PASSWORD", PASSWORD),
    );
}

/// What drivers call in their order, and every attack on tickets, statements, sessions and messages.
#[test]
fn flight_sql_by_drivers_and_attackers() {
    succeeds(
        Command::new(installed("clients", "python"))
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "flight.py"])
            .current_dir(repository().join("tests/server"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("ENCLAVE_BIN", env!("CARGO_BIN_EXE_enclave")),
    );
}
