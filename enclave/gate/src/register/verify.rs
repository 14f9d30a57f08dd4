//! How to check all of it without trusting this site.

use maud::{Markup, html};

use super::Source;
use super::page::{framed, paragraphs};
use crate::bilingual::both;

pub(super) fn page(source: &Source) -> String {
    framed(("検証の方法", "How to verify"), "", source.records.len(), body(source))
}

fn body(source: &Source) -> Markup {
    html! {
        (paragraphs(
            "ここに書かれたことは、すべて改ざんを検知できる開示ログにある。ログは、後から一件でも書き換え、取り除き、並べ替えると、署名された要約値（チェックポイント）と合わなくなる。諮問委員会の委員は各自の鍵でチェックポイントに署名する。",
            "Everything here is in a disclosure log in which tampering is detected: change, remove or reorder one leaf, and the log no longer fits its signed digest, the checkpoint. Members of the advisory board cosign checkpoints with keys of their own.",
        ))
        ol {
            li { (both(
                "ログの写しを求める（総括管理主体または諮問委員会が書き出す）。",
                "Ask for a copy of the log, which the steward or the board exports.",
            )) " " code { "enclave log export DIR" } }
            li { (both(
                "公開鍵を、このページと、可能であれば別の経路からも入手する。",
                "Get the public key, from here and if possible from somewhere else too.",
            )) }
            li { (both(
                "写しを検証する。この市のプログラムを使わず、公開された仕様だけから確かめることもできる。",
                "Verify the copy; from the public specifications alone, if you do not want to trust our program.",
            )) " " code { "enclave log verify DIR --key FILE" } }
            li { (both(
                "写しのログを読み、この台帳の「ログ」の番号と見比べる。文書と回答の要約値（SHA-256）もログにある。",
                "Read the copy beside the log numbers in this register. Digests (SHA-256) of documents and answers are in the log.",
            )) }
        }
        h2 { (both("公開鍵", "Public key")) }
        pre { code { (source.key) } }
        h2 { (both("この台帳のチェックポイント", "Checkpoint of this register")) }
        pre { code { (source.checkpoint) } }
        h2 { (both("仕様", "Specifications")) }
        ul {
            li { "RFC 6962 " (both("（木のハッシュ）", "(hashes of the tree)")) }
            li { "C2SP tlog-tiles, tlog-checkpoint, signed-note " (both("（配置・署名）", "(layout and signatures)")) }
        }
        h2 { (both("公表された文書", "Published documents")) }
        table {
            caption { (both("文書の要約値", "Digests of documents")) }
            thead { tr {
                th scope="col" { (both("文書", "Document")) }
                th scope="col" { (both("版", "Version")) }
                th scope="col" { "SHA-256" }
                th scope="col" { (both("ログ", "Log")) }
            } }
            tbody { @for document in &source.documents {
                @let digest = source.records.get(document.leaf as usize).map(|record| record.text("sha256")).unwrap_or_default();
                tr {
                    th scope="row" { (document.kind.as_str()) " " (document.name) }
                    td { (document.version) }
                    td { code { (digest) } }
                    td.number { (document.leaf) }
                }
            } }
        }
    }
}
