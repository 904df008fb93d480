//! Checks whether a key names a secret: `token`, `user[password][x]`, `password%00` …
//!
//! Owns the matching of names within keys. A name matches whole words. A word ends at a byte that is no letter or digit,
//! between a letter and a digit, and where the case changes (`accessToken`, `CSRFToken`). Separators and case within a name
//! are ignored: `api_key` also matches `apiKey` and `API-KEY`. A `*` at an end of a name lets the word continue there.
//! Refuses to know the value of the key. Invariant: each check costs time in proportion to the length of the key.

use super::spelling::unit;

/// A key is percent-decoded in parts of this size.
const WINDOW: usize = 256;
/// The overlap of two parts. No name is longer.
const OVERLAP: usize = 64;
/// A shorter name must not be interrupted by separators: `s_id` is not `sid`.
const SHORT: usize = 5;

/// The meaning of a key for its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// Nothing.
    Plain,
    /// The whole key is `state`, which an OAuth callback has beside its `code` (RFC 6749, section 4.1.2).
    State,
    /// The whole key is `code`.
    Code,
    /// The value is a secret.
    Secret,
}

/// How the beginning of a key was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// The key begins with its text or after a delimiter.
    Exact,
    /// The text is a whole line: a value may begin within the apparent key.
    Anywhere,
}

/// A list of names, compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// In the order of their last letters.
    names: Vec<Name>,
    /// Names that protect the words that they match.
    exempt: Vec<Name>,
    /// The last two letters of the names, one bit each.
    pairs: Pairs,
}

#[derive(Debug, Clone)]
struct Name {
    /// Only letters and digits, in lower case.
    letters: Box<[u8]>,
    /// The word may continue before the name, and after it.
    open_start: bool,
    open_end: bool,
    says: Key,
}

impl Names {
    /// `exempt` lists names that are not secret although `names` has one of their words.
    pub(super) fn new<'n>(
        names: impl IntoIterator<Item = &'n str>,
        exempt: impl IntoIterator<Item = &'n str>,
    ) -> Self {
        let compile = |text: &str, says| Name::new(text, says);
        let names = names.into_iter();
        let mut names: Vec<Name> = names
            .filter_map(|text| compile(text, Key::Secret))
            .collect();
        if !names.is_empty() {
            names.extend(compile("code", Key::Code));
            names.extend(compile("state", Key::State));
        }
        names.sort_by_key(|name| name.letters.last().copied());
        let mut pairs = Pairs::default();
        for name in &names {
            pairs.add(&name.letters);
        }
        let exempt = exempt.into_iter();
        let exempt = exempt
            .filter_map(|text| compile(text, Key::Plain))
            .collect();
        Self {
            names,
            exempt,
            pairs,
        }
    }

    /// Whether the name of a variable marks its value as secret.
    pub(super) fn has(&self, variable: &str) -> bool {
        let text = variable.as_bytes();
        self.key(text, 0, text.len(), Cut::Exact) == Key::Secret
    }

    /// Returns the meaning of the key that ends before `end` and does not begin before `from`.
    #[inline]
    pub(super) fn key(&self, text: &[u8], from: usize, mut end: usize, cut: Cut) -> Key {
        while end > from && class(text[end - 1]) <= DELIMITER {
            end -= 1;
        }
        let (mut at, mut follower, mut hit) = (end, 0, false);
        while at > from {
            match class(text[at - 1]) {
                DELIMITER => break,
                CODED => return self.coded(text, from, end, cut),
                SEPARATOR => {}
                letter => {
                    hit |= self.pairs.has(letter, follower);
                    follower = letter;
                }
            }
            at -= 1;
        }
        match hit {
            true => self.read(&text[at..end], cut),
            false => Key::Plain,
        }
    }

    /// The same, for a key with encoded bytes.
    #[cold]
    fn coded(&self, text: &[u8], from: usize, end: usize, cut: Cut) -> Key {
        let key = &text[from..end];
        let delimiter = |byte: &u8| class(*byte) == DELIMITER;
        let mut at = from + key.iter().rposition(delimiter).map_or(0, |at| at + 1);
        let (mut window, mut len, mut ended, mut found) = ([0; WINDOW], 0, false, Key::Plain);
        while at < end {
            let here = unit(text, at);
            at += here.len;
            // an encoded blank belongs to the key
            let blank = here.byte.is_ascii_whitespace() && here.depth > 0;
            ended |= class(here.byte) == DELIMITER && !blank;
            if ended && here.byte.is_ascii_alphanumeric() {
                (len, ended, found) = (0, false, Key::Plain);
            }
            if len == WINDOW {
                found = found.max(self.read(&window, cut));
                window.copy_within(WINDOW - OVERLAP.., 0);
                len = OVERLAP;
            }
            window[len] = here.byte;
            len += 1;
        }
        found.max(self.read(&window[..len], cut))
    }

    #[cold]
    fn read(&self, key: &[u8], cut: Cut) -> Key {
        let mut found = Key::Plain;
        for end in 0..key.len() {
            let says = self.ending_with(key[end]).iter().filter_map(|name| {
                let start = name.start(key, end, cut)?;
                let counts = cut == Cut::Anywhere || !self.is_exempt(key, start, end);
                counts.then_some(name.says)
            });
            found = says.fold(found, Key::max);
        }
        found
    }

    /// The names whose last letter is this one, in whatever case.
    fn ending_with(&self, letter: u8) -> &[Name] {
        let letter = Some(letter.to_ascii_lowercase());
        let last = |name: &Name| name.letters.last().copied();
        let start = self.names.partition_point(|name| last(name) < letter);
        let rest = &self.names[start..];
        &rest[..rest.partition_point(|name| last(name) == letter)]
    }

    /// Whether the letters from `start` to `end` lie within an exempt name.
    fn is_exempt(&self, key: &[u8], start: usize, end: usize) -> bool {
        self.exempt.iter().any(|name| {
            let mut ends = end..key.len();
            ends.any(|end| {
                name.start(key, end, Cut::Exact)
                    .is_some_and(|at| at <= start)
            })
        })
    }
}

impl Name {
    fn new(text: &str, says: Key) -> Option<Self> {
        let letters = text.bytes().filter(u8::is_ascii_alphanumeric);
        let letters: Box<[u8]> = letters.map(|byte| byte.to_ascii_lowercase()).collect();
        (!letters.is_empty()).then(|| Self {
            letters,
            open_start: text.starts_with('*'),
            open_end: text.ends_with('*'),
            says,
        })
    }

    /// Returns the beginning of the name whose last letter is at `end` of the key.
    fn start(&self, key: &[u8], end: usize, cut: Cut) -> Option<usize> {
        let (last, before) = self.letters.split_last()?;
        if key[end].to_ascii_lowercase() != *last {
            return None;
        }
        let mut at = end;
        for letter in before.iter().rev() {
            let gap = self.letters.len() >= SHORT;
            let rest = &key[..at];
            at = match rest.iter().rposition(u8::is_ascii_alphanumeric) {
                Some(found) if gap || found + 1 == at => found,
                _ => return None,
            };
            if key[at].to_ascii_lowercase() != *letter {
                return None;
            }
        }
        let whole = matches!(self.says, Key::Code | Key::State);
        let letter = u8::is_ascii_alphanumeric;
        let ends = match whole {
            true => !key[end + 1..].iter().any(letter),
            false => self.open_end || ends_word(key, end + 1),
        };
        let begins = cut == Cut::Anywhere
            || match whole {
                true => !key[..at].iter().any(letter),
                false => self.open_start || ends_word(key, at) || is_escaped(&key[..at]),
            };
        (ends && begins).then_some(at)
    }
}

/// Whether a word ends, and another may begin, before the byte at `at`.
fn ends_word(key: &[u8], at: usize) -> bool {
    let (Some(before), Some(after)) = (at.checked_sub(1).map(|at| key[at]), key.get(at)) else {
        return true;
    };
    if !before.is_ascii_alphanumeric()
        || !after.is_ascii_alphanumeric()
        || before.is_ascii_digit() != after.is_ascii_digit()
    {
        return true;
    }
    let upper = |at: Option<usize>| {
        at.and_then(|at| key.get(at))
            .is_some_and(u8::is_ascii_uppercase)
    };
    match (before.is_ascii_uppercase(), after.is_ascii_uppercase()) {
        (false, true) => true,
        // `CSRF|Token`
        (true, true) => key.get(at + 1).is_some_and(u8::is_ascii_lowercase),
        // `PIN|code`
        (true, false) => upper(at.checked_sub(2)),
        (false, false) => false,
    }
}

/// Whether a text ends with `\\n`, `\\r` or `\\t`, as in the JSON of a raw line.
fn is_escaped(text: &[u8]) -> bool {
    matches!(text, [.., b'\\', b'n' | b'r' | b't'])
}

/// The last two letters of names, one bit for each pair; several pairs may share a bit.
#[derive(Debug, Clone, Default)]
struct Pairs([u32; 32]);

impl Pairs {
    fn add(&mut self, letters: &[u8]) {
        match letters {
            [.., before, last] => self.0[slot(class(*before))] |= 1 << slot(class(*last)),
            // any letter may follow
            [only] => self.0[slot(class(*only))] = u32::MAX,
            [] => {}
        }
    }

    #[inline]
    fn has(&self, letter: u8, follower: u8) -> bool {
        self.0[slot(letter)] >> slot(follower) & 1 == 1
    }
}

#[inline]
fn slot(class: u8) -> usize {
    usize::from(class & 31)
}

/// Ends a key: the text before it does not belong to the key.
const DELIMITER: u8 = 1;
/// Separates words.
const SEPARATOR: u8 = 0;
/// Begins an encoded byte.
const CODED: u8 = 2;
/// Letters and digits have a class each, from here on.
const LETTERS: u8 = 3;

#[inline]
fn class(byte: u8) -> u8 {
    CLASSES[usize::from(byte)]
}

static CLASSES: [u8; 256] = {
    let mut classes = [SEPARATOR; 256];
    let mut letter = 0;
    while letter < 26 {
        classes[(b'a' + letter) as usize] = LETTERS + letter;
        classes[(b'A' + letter) as usize] = LETTERS + letter;
        letter += 1;
    }
    let mut digit = 0;
    while digit < 10 {
        classes[(b'0' + digit) as usize] = LETTERS + 26 + digit;
        digit += 1;
    }
    let delimiters = b"&?#;/=\" \t\r\n";
    let mut at = 0;
    while at < delimiters.len() {
        classes[delimiters[at] as usize] = DELIMITER;
        at += 1;
    }
    classes[b'%' as usize] = CODED;
    classes[b'\\' as usize] = CODED;
    classes
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Privacy;

    fn says(names: &Names, key: &str) -> Key {
        names.key(key.as_bytes(), 0, key.len(), Cut::Exact)
    }

    fn default() -> Names {
        let privacy = Privacy::default();
        let texts = |list: &[String]| list.to_vec();
        let (names, exempt) = (
            texts(&privacy.redact_query),
            texts(&privacy.redact_query_except),
        );
        Names::new(
            names.iter().map(String::as_str),
            exempt.iter().map(String::as_str),
        )
    }

    #[test]
    fn a_name_matches_whole_words() {
        let names = Names::new(["token", "api_key", "sid", "*pass*", "2fa"], []);
        for key in [
            "token",
            "TOKEN",
            "ToKeN",
            "?token",
            "&amp;token",
            "a=b&token",
            "reset_token",
            "token_reset",
            "accessToken",
            "ACCESSToken",
            "TOKENvalue",
            "token1",
            "1token2x",
            "user[token]",
            "user[token][x]",
            "user.token.x",
            "user:token",
            "token[]",
            "x-amz-security-token",
            "apikey",
            "api-key",
            "apiKey",
            "A_P_I_K_E_Y",
            "%74oken",
            "%2574%6Fken",
            "\\x74oken",
            "\\ntoken",
            "x%3Ftoken",
            "token%3F",
            "token%26",
            "token?",
            "user%5Btoken%5D",
            "token%5B0%5D",
            "token%255B0%255D",
            "token%20",
            "%20token",
            "+token ",
            "token%00",
            "%00token%00x",
            "sid",
            "bypassed",
            "2fa_code",
        ] {
            assert_eq!(says(&names, key), Key::Secret, "{key}");
        }
        for key in [
            "",
            "tokens",
            "mytoken",
            "inside",
            "s_id",
            "to",
            "=",
            "%",
            "api",
            "fa",
            "token=x",
            "token&x",
            "token%26x",
            "token/x",
            "token x",
        ] {
            assert_eq!(says(&names, key), Key::Plain, "{key}");
        }
        assert_eq!(says(&Names::default(), "token"), Key::Plain);
    }

    #[test]
    fn long_keys_are_read_to_their_end() {
        let names = Names::new(["token"], []);
        for length in [100, 190, 250, 255, 256, 257, 300, 1000, 5000] {
            let x = "x".repeat(length);
            for key in [
                format!("{x}_token"),
                format!("{x}_token_{x}"),
                format!("{x}%5Btoken%5D"),
                format!("token%5B{x}%5D"),
                format!("{x}%5Btoken%5D%5B{x}"),
            ] {
                assert_eq!(says(&names, &key), Key::Secret, "{length} {key}");
            }
            assert_eq!(says(&names, &format!("{x}%5B{x}")), Key::Plain);
        }
    }

    #[test]
    fn exempt_names_protect_the_words_that_they_match() {
        let names = Names::new(["token", "csrf"], ["token_type", "*orders_csrf"]);
        for key in ["token_type", "tokenType", "x[token-type]", "reorders.csrf"] {
            assert_eq!(says(&names, key), Key::Plain, "{key}");
        }
        for key in [
            "token_types",
            "token",
            "token_type_token",
            "csrf_token_type",
        ] {
            assert_eq!(says(&names, key), Key::Secret, "{key}");
        }
    }

    /// Names of secrets in real systems.
    #[test]
    fn keys_of_secrets_are_recognised() {
        let names = default();
        for key in [
            "ticket",
            "pin",
            "pw",
            "passcode",
            "password1",
            "token[0]",
            "token%5B0%5D",
            "user[password][x]",
            "user%5Bpassword%5D%5Bx%5D",
            "otp_code",
            "mfa_code",
            "subscription-key",
            "Ocp-Apim-Subscription-Key",
            "hmac",
            "password%00",
            "%20password",
            "remember_me",
            "rememberMe",
            "remember_user_token",
            "remember_web_59ba36addc2b2f94",
            "token",
            "access_token",
            "accesstoken",
            "id_token",
            "id_token_hint",
            "refresh-token",
            "csrftoken",
            "csrfmiddlewaretoken",
            "authenticity_token",
            "__RequestVerificationToken",
            "_csrf",
            "xsrf",
            "XSRF-TOKEN",
            "X-CSRFToken",
            "csrf",
            "hub.verify_token",
            "deviceToken",
            "password",
            "Password",
            "PASSWORD",
            "passwd",
            "pwd",
            "newpwd",
            "userpassword",
            "password_confirmation",
            "passwordHash",
            "pass",
            "passphrase",
            "psw",
            "oldPassword",
            "j_password",
            "os_password",
            "login[pass]",
            "db-pass",
            "pass1",
            "auth",
            "authorization",
            "Proxy-Authorization",
            "auth_key",
            "x_auth",
            "bearer",
            "jwt",
            "sig",
            "signature",
            "X-Amz-Signature",
            "x-amz-security-token",
            "X-Amz-Credential",
            "AWSAccessKeyId",
            "awsaccesskeyid",
            "X-Goog-Signature",
            "oauth_signature",
            "SigV4sig",
            "SharedAccessSignature",
            "SharedAccessKey",
            "AccountKey",
            "openid.sig",
            "session",
            "session_id",
            "sessionid",
            "sessid",
            "sid",
            "connect.sid",
            "PHPSESSID",
            "jsessionid",
            "JSESSIONID",
            "ASP.NET_SessionId",
            "ASPSESSIONIDQQRSTTUV",
            "laravel_session",
            "MoodleSession",
            "SESS5b5a7e0a",
            "SSESSa1",
            "_shibsession_64656",
            ".ASPXAUTH",
            "wordpress_logged_in_5c016e8f0f95f039102cbe8366c5c7f3",
            "wordpress_sec_1",
            "LtpaToken2",
            "KEYCLOAK_SESSION",
            "_oauth2_proxy",
            "grafana_session",
            "user_session",
            "client_secret",
            "clientsecret",
            "appSecret",
            "secret",
            "secretKey",
            "AWS_SECRET_ACCESS_KEY",
            "private_key",
            "privatekey",
            "api_key",
            "apikey",
            "apiKey",
            "X-Api-Key",
            "APIKEYValue",
            "SAMLResponse",
            "SAMLRequest",
            "SAMLart",
            "assertion",
            "client_assertion",
            "wresult",
            "code_verifier",
            "device_code",
            "oauth_verifier",
            "authcode",
            "auth_code",
            "credential",
            "credentials",
            "otp",
            "totp",
            "one_time_code",
            "mfa",
            "2fa",
            "2fa_code",
            "smsCode",
            "verification_code",
            "securityCode",
            "recovery_code",
            "cvv",
            "cvv2",
            "cvc",
            "card_number",
            "cardNumber",
            "cc-number",
            "iban",
            "ssn",
            "encryption_key",
            "signingKey",
            "seed_phrase",
            "pinCode",
            "PINcode",
            "card[pin]",
            "pin2",
            "pin-",
        ] {
            assert_eq!(says(&names, key), Key::Secret, "{key}");
        }
    }

    #[test]
    fn keys_that_only_look_like_those_of_secrets_stay() {
        let names = default();
        for key in [
            "shipping",
            "author",
            "authors",
            "authored",
            "authority",
            "design",
            "designer",
            "assign",
            "assigned",
            "assignee",
            "sign",
            "sign_in",
            "signup",
            "signal",
            "signals",
            "significant",
            "pinned",
            "pins",
            "pinterest",
            "spin",
            "spinner",
            "opinion",
            "mapping",
            "pinyin",
            "topping",
            "keyboard",
            "keyword",
            "keywords",
            "key",
            "keys",
            "monkey",
            "turkey",
            "hotkey",
            "public_key_id",
            "token_type",
            "tokenType",
            "token_type_hint",
            "tokens",
            "max_tokens",
            "tokenize",
            "tokenizer",
            "secretary",
            "secretariat",
            "sessions",
            "obsession",
            "passenger",
            "passengers",
            "compass",
            "bypass",
            "passed",
            "passive",
            "passport",
            "encompass",
            "trespass",
            "passwordless",
            "password-less",
            "auth_type",
            "authMethod",
            "signature_method",
            "SignatureVersion",
            "tickets",
            "ticketing",
            "ticket_type",
            "ticketPrice",
            "inside",
            "sidebar",
            "side",
            "president",
            "consider",
            "sigma",
            "sight",
            "csrfless",
            "option",
            "options",
            "adoption",
            "cardinal",
            "card",
            "cards",
            "card_type",
            "classname",
            "lesson",
            "urban",
            "suburban",
            "caliban",
            "hmacs",
            "country_code",
            "zip code",
            "zip_code",
            "zipcode",
            "status_code",
            "promo_code",
            "error_code",
            "postcode",
            "barcode",
            "encode",
            "state",
            "estate",
            "code",
            "lang",
            "id",
            "uid",
            "user_id",
            "order_id",
            "s_id",
            "business_id",
            "q",
            "page",
            "utm_source",
            "sv",
            "spr",
            "pwa",
            "powder",
            "mfair",
            "jwts",
            "otpion",
            "essay",
            "assess",
            "process",
            "access",
            "possess",
            "email",
            "user",
            "username",
            "login",
            "return_to",
            "X-Amz-Date",
            "X-Amz-Algorithm",
            "hash",
            "checksum",
            "etag",
            "credit",
            "incredible",
            "accredited",
            "sessile",
            "%73hipping",
            "%20author%00",
            "user[author][0]",
        ] {
            assert_ne!(says(&names, key), Key::Secret, "{key}");
        }
    }

    #[test]
    fn a_code_and_a_state_are_whole_keys() {
        let names = default();
        for (key, says_what) in [
            ("code", Key::Code),
            ("CODE", Key::Code),
            ("c%6Fde", Key::Code),
            ("?code", Key::Code),
            ("state", Key::State),
            ("zip_code", Key::Plain),
            ("code_x", Key::Plain),
            ("code1", Key::Plain),
            ("statement", Key::Plain),
            ("unstate", Key::Plain),
        ] {
            assert_eq!(says(&names, key), says_what, "{key}");
        }
        let exempt = Names::new(["token"], ["code"]);
        assert_eq!(says(&exempt, "code"), Key::Plain);
    }

    #[test]
    fn in_a_line_every_possible_key_counts() {
        let names = Names::new(["token"], []);
        let line = b"xtoken xtokens";
        assert_eq!(names.key(line, 0, 6, Cut::Anywhere), Key::Secret);
        assert_eq!(names.key(line, 0, 6, Cut::Exact), Key::Plain);
        assert_eq!(names.key(line, 0, 14, Cut::Anywhere), Key::Plain);
        assert_eq!(names.key(b"xcode", 0, 5, Cut::Anywhere), Key::Code);
    }
}
