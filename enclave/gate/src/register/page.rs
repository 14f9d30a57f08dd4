//! The frame of a page, and words for both languages.

use maud::{DOCTYPE, Markup, html};

use crate::bilingual::both;

/// The only style sheet.
pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 1rem/1.7 'Noto Sans JP', 'Hiragino Sans', 'Yu Gothic', sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid; } h3 { font-size: 1.05rem; margin-top: 2rem; }
[lang=en] { opacity: .8; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
caption { text-align: left; font-weight: bold; padding: .3rem 0; }
th, td { border: 1px solid #888; padding: .3rem .6rem; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.hidden { font-style: italic; }
dt { font-weight: bold; margin-top: .8rem; } dd { margin-left: 1.5rem; }
code, pre { font-family: monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 1rem; }
a { color: inherit; } :focus-visible { outline: 3px solid; }
footer { margin-top: 3rem; border-top: 1px solid; }
@media print { nav { display: none; } body { max-width: none; } }
";

/// A paragraph in each language.
pub(super) fn paragraphs(ja: &str, en: &str) -> Markup {
    html! { p lang="ja" { (ja) } p lang="en" { (en) } }
}

/// A whole page. `up` leads from it to the top of the site.
pub(super) fn framed(title: (&str, &str), up: &str, leaves: usize, main: Markup) -> String {
    let (ja, en) = title;
    let page = html! {
        (DOCTYPE)
        html lang="ja" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (ja) " / " (en) }
                link rel="stylesheet" href=(format!("{up}style.css"));
            }
            body {
                header {
                    nav aria-label="公開台帳 / Public register" {
                        ul {
                            li { a href=(format!("{up}index.html")) { (both("公開台帳", "Public register")) } }
                            li { a href=(format!("{up}decisions.html")) { (both("委員会の決定", "Decisions")) } }
                            li { a href=(format!("{up}verify.html")) { (both("検証の方法", "How to verify")) } }
                        }
                    }
                }
                main {
                    h1 { (both(ja, en)) }
                    (main)
                }
                footer {
                    (paragraphs(
                        &format!("この台帳は、開示ログの先頭から{leaves}件と、そのログに要約値のある文書だけから作られた。「ログ」の番号は開示ログの番号である。"),
                        &format!("This register is made only from the first {leaves} leaves of the disclosure log, and from documents whose digests are in it. Numbers after “log” are those of the log."),
                    ))
                }
            }
        }
    };
    page.into_string()
}
