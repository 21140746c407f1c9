//! The page for a browser: one file with its style, script and data, which loads nothing.
//!
//! No result is in the page as text: everything is in the data, as base64, which has no character with a meaning in
//! HTML. The script shows it only as text. The page's policy lets no other script run and nothing be loaded.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use ring::digest::{SHA256, digest};

use super::{super::Verification, ReportError, ReportOrigin, data, states};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPTS: [&str; 4] = [
    include_str!("page/model.js"),
    include_str!("page/map.js"),
    include_str!("page/tables.js"),
    include_str!("page/main.js"),
];

/// Returns the whole page, as UTF-8.
///
/// # Errors
/// If the data cannot be encoded.
pub fn page(verified: &Verification, about: &ReportOrigin) -> Result<String, ReportError> {
    let data = BASE64.encode(data::encode(verified, about)?);
    let script = format!("\"use strict\";\n{}{}", states::constants(), SCRIPTS.concat());
    // Each mark occurs once in the page. The data comes last, because it could contain any text but these marks.
    let page = PAGE.replacen("{{policy}}", &policy(STYLE, &script), 1);
    let page = page.replacen("{{style}}", STYLE, 1).replacen("{{script}}", &script, 1);
    Ok(page.replacen("{{data}}", &data, 1))
}

/// The content security policy: allows this style and this script, by their digests, and nothing else.
fn policy(style: &str, script: &str) -> String {
    let hash = |text: &str| BASE64.encode(digest(&SHA256, text.as_bytes()));
    let (style, script) = (hash(style), hash(script));
    format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; base-uri 'none'; \
         form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::{super::super::FindingKind, *};

    const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror=alert(1)> --> ]]> {{script}}";

    fn hostile() -> String {
        let mut finding = FindingKind::MissingSession.on(
            &"A".parse().unwrap(),
            &(date(2024, 1, 3)..=date(2024, 1, 3)),
            HOSTILE.to_owned(),
        );
        finding.path = Some(HOSTILE.into());
        let verified = Verification { findings: vec![finding], ..Verification::default() };
        let about =
            ReportOrigin { made: HOSTILE.to_owned(), version: HOSTILE.to_owned(), holds: HOSTILE.to_owned() };
        page(&verified, &about).unwrap()
    }

    #[test]
    fn nothing_that_was_found_stands_in_the_page_as_text() {
        let (hostile, plain) = (hostile(), page(&Verification::default(), &ReportOrigin::default()).unwrap());
        let without_data = |page: &str| {
            let (before, rest) = page.split_once("<script type=\"text/plain\" id=\"data\">").unwrap();
            let (data, after) = rest.split_once("</script>").unwrap();
            assert!(
                data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)),
                "{data}"
            );
            format!("{before}{after}")
        };
        assert_eq!(without_data(&hostile), without_data(&plain));
        assert!(!hostile.contains("{{") && !hostile.contains("alert(1)"));
    }

    #[test]
    fn style_and_script_end_where_they_should_and_nothing_is_loaded() {
        let page = hostile();
        assert_eq!(page.matches("<script").count(), 2, "the data and the script");
        assert_eq!(page.matches("</script").count(), 2);
        assert_eq!(page.matches("<style").count(), 1);
        for needle in ["http:", "https:", "//www", "src=", "href=", "url(", "@import", "innerHTML", "eval("] {
            assert!(!page.contains(needle), "{needle}");
        }
    }

    #[test]
    fn the_policy_names_the_digests_of_style_and_script() {
        // Computed by `printf %s x | openssl dgst -sha256 -binary | base64`.
        let digest = "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=";
        let policy = policy("x", "x");
        assert!(policy.contains(&format!("script-src 'sha256-{digest}';")), "{policy}");
        assert!(policy.contains(&format!("style-src 'sha256-{digest}';")), "{policy}");
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"));
    }
}
