//! Words of pages in Japanese and English.

use maud::{Markup, html};

/// The same in Japanese and English.
pub(crate) fn both(ja: &str, en: &str) -> Markup {
    html! { span lang="ja" { (ja) } " " span lang="en" { (en) } }
}

/// What stands where there is nothing.
pub(crate) fn none() -> Markup {
    html! { p { (both("なし", "None")) } }
}

/// The head of a table: the titles of its columns.
pub(crate) fn head(titles: &[(&str, &str)]) -> Markup {
    html! { thead { tr { @for (ja, en) in titles { th scope="col" { (both(ja, en)) } } } } }
}
