//! `/join`: the page where somebody takes up an invitation, or founds the enclave, with a browser and without scripts.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;

use crate::app::App;
use crate::http::address::Paced;
use crate::http::body::{At, Filled};
use crate::http::problem::Problem;

pub(super) fn router() -> Router<App> {
    Router::new().route("/join/{secret}", get(ask)).route("/join", post(take))
}

/// How a secret for the set-up begins.
const SET_UP: &str = "enclave-set-up-";

async fn ask(State(app): State<App>, At(secret): At<String>) -> Response {
    let providers: Vec<&str> = app.config.providers.iter().map(|provider| provider.name.as_str()).collect();
    let elsewhere = html! {
        @if !secret.starts_with(SET_UP) {
            @for name in providers {
                p { a href=(format!("/oidc/{name}/login?invitation={}", encoded(&secret))) { "Join with · 連携ログイン: " (name) } }
            }
        }
    };
    page(StatusCode::OK, html! { (form(&secret, None)) (elsewhere) })
}

/// As a part of an address.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    secret: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    login: String,
    password: String,
    again: String,
}

async fn take(State(app): State<App>, _: Paced, Filled(taken): Filled<Taken>) -> Response {
    let secret = taken.secret.clone();
    if taken.password != taken.again {
        return page(
            StatusCode::UNPROCESSABLE_ENTITY,
            form(&secret, Some("the two passwords differ · パスワードが一致しません")),
        );
    }
    let login = taken.login.clone();
    let joined = app
        .entering(move |enclave| {
            if taken.secret.starts_with(SET_UP) {
                enclave.set_up(&taken.secret, &taken.id, &taken.name, &taken.login, &taken.password)?;
                return Ok(taken.id);
            }
            enclave.accept(&taken.secret, &taken.login, &taken.password)
        })
        .await;
    match joined {
        Ok(person) => page(
            StatusCode::CREATED,
            html! {
                h1 { "Done · 登録しました" }
                p { "You are " code { (person) } ", and log in as " code { (login) } "." }
                p lang="ja" { "今後は " code { (login) } " でログインしてください。" }
            },
        ),
        Err(error) => {
            let message = error.to_string();
            let problem: Problem = error.into();
            let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
            if status.is_server_error() {
                problem.into_response()
            } else {
                page(status, form(&secret, Some(&message)))
            }
        }
    }
}

fn form(secret: &str, mistake: Option<&str>) -> Markup {
    let set_up = secret.starts_with(SET_UP);
    html! {
        h1 { @if set_up { "Set up the enclave · 初期設定" } @else { "Join the enclave · 登録" } }
        @if let Some(mistake) = mistake { p role="alert" { (mistake) } }
        form method="post" action="/join" {
            input type="hidden" name="secret" value=(secret);
            @if set_up {
                label { "Short id · 識別子" input name="id" required maxlength="64" pattern="[A-Za-z0-9._-]+"; }
                label { "Name · 氏名" input name="name" required maxlength="200" autocomplete="name"; }
            }
            label { "Log-in · ログイン名" input name="login" required maxlength="64" autocomplete="username"; }
            label { "Password, 15 characters or more · パスワード（15文字以上）"
                input type="password" name="password" required minlength="15" maxlength="128" autocomplete="new-password"; }
            label { "The same again · もう一度"
                input type="password" name="again" required minlength="15" maxlength="128" autocomplete="new-password"; }
            button { "Join · 登録する" }
        }
    }
}

pub(super) fn page(status: StatusCode, body: Markup) -> Response {
    let style = "body{font-family:sans-serif;max-width:32rem;margin:2rem auto;padding:0 1rem;line-height:1.6}\
                 label,input,button{display:block;width:100%;box-sizing:border-box;margin:.5rem 0}\
                 input,button{padding:.5rem;font:inherit}[role=alert]{border-left:.3rem solid #b00;padding-left:.7rem}";
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "Enclave" }
                style { (style) }
            }
            body { main { (body) } }
        }
    };
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.into_string()).into_response()
}
