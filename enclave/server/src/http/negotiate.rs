//! Which form of an answer a client wants (RFC 9110, section 12.5.1).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gate::Answered;
use gate::encode::{Format, encode};

use crate::http::problem::Problem;

/// Forms and their media types, the one that is preferred first.
pub(crate) const FORMS: [(Format, &str); 4] = [
    (Format::Json, "application/json"),
    (Format::Csv, "text/csv"),
    (Format::Arrow, "application/vnd.apache.arrow.file"),
    (Format::Parquet, "application/vnd.apache.parquet"),
];

/// The form that a request accepts most.
pub(crate) fn form(headers: &HeaderMap) -> Result<(Format, &'static str), Problem> {
    if accepted(headers).trim().is_empty() {
        return Ok(FORMS[0]);
    }
    let mut best: Option<((Format, &'static str), f64)> = None;
    for form in FORMS {
        let quality = quality(headers, form.1);
        if quality > best.map_or(0.0, |(_, quality)| quality) {
            best = Some((form, quality));
        }
    }
    best.map(|(form, _)| form).ok_or_else(|| {
        let names: Vec<&str> = FORMS.iter().map(|(_, media)| *media).collect();
        let detail = format!("answers come as {}", names.join(", "));
        Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", detail)
    })
}

/// How much a request accepts a media type. The most precise range that holds it decides.
pub(crate) fn quality(headers: &HeaderMap, media: &str) -> f64 {
    let accept = accepted(headers);
    let ranges: Vec<(&str, f64)> = accept.split(',').filter_map(range).collect();
    let (kind, _) = media.split_once('/').unwrap_or((media, ""));
    let of = |wanted: &str| ranges.iter().find(|(range, _)| range.eq_ignore_ascii_case(wanted));
    let found = of(media).or_else(|| of(&format!("{kind}/*"))).or_else(|| of("*/*"));
    found.map_or(0.0, |(_, quality)| *quality)
}

fn accepted(headers: &HeaderMap) -> String {
    let all: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    all.join(",")
}

fn range(text: &str) -> Option<(&str, f64)> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().filter(|media| !media.is_empty())?;
    let quality = parts.find_map(|part| part.strip_prefix("q="));
    Some((media, quality.map_or(Some(1.0), |quality| quality.parse().ok())?))
}

/// An answer in that form.
pub(crate) fn told(answered: &Answered, form: (Format, &'static str), status: StatusCode) -> Response {
    let Ok(body) = encode(answered, form.0) else {
        return Problem::fault(&"an answer cannot be written").into_response();
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.1));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    if let Some(log) = &answered.log {
        headers.insert("enclave-log-index", HeaderValue::from(log.index));
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_most_wanted_form_is_taken() {
        for (accept, wanted) in [
            (None, Some("application/json")),
            (Some("*/*"), Some("application/json")),
            (Some("text/csv"), Some("text/csv")),
            (Some("text/*;q=0.5, application/vnd.apache.parquet"), Some("application/vnd.apache.parquet")),
            (Some("application/json;q=0, */*;q=0.1"), Some("text/csv")),
            (Some("application/*;q=0.2, text/csv;q=0.3"), Some("text/csv")),
            (Some("image/png"), None),
            (Some("text/csv;q=0"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(form(&headers).ok().map(|(_, media)| media), wanted, "{accept:?}");
        }
    }
}
