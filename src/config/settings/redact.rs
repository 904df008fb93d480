//! The default lists of what is redacted.
//!
//! Owns the names of keys and the shapes of values, as TOML. Refuses to know how they are searched for.

/// Names of keys whose values are secret. `code` and `key` are not in the list, because most of their values are not
/// secret. The `code` of an OAuth callback is recognised by the `state` beside it.
pub(super) const REDACT_QUERY: &str = r#"["access_code", "*access_key*", "account_key", "activation_code", "activation_key", "*api_key*", "*aspsessionid*", "aspxauth", "assertion", "auth", "*authcode", "authorization", "backup_code", "bearer", "*card_number*", "cc_number", "code_verifier", "*credential*", "csrf", "cvc", "cvv", "device_code", "encryption_key", "*hmac", "iban", "jsessionid", "jwt", "keycloak_identity", "login_code", "master_key", "mfa", "mnemonic", "oauth2_proxy", "oauth_verifier", "one_time_code", "otp", "pass", "*passcode*", "*passphrase*", "*passwd*", "*password*", "*phpsessid*", "pin", "*private_key*", "psw", "pswd", "pw", "*pwd", "recovery_code", "*remember_me*", "remember_web", "reset_code", "*saml_request*", "*saml_response*", "samlart", "*secret", "*secret_key*", "security_answer", "security_code", "seed_phrase", "sess", "*sessid*", "session", "*session_id*", "*session_key*", "shared_key", "*shibsession*", "sid", "sig", "signature", "signing_key", "sms_code", "smsession", "ssess", "ssn", "subscription_key", "ticket", "*token", "totp", "2fa", "verification_code", "wordpress_logged_in", "wordpress_sec", "wresult", "xsrf"]"#;

/// Names of keys whose values are not secret although a word of them is in the list.
pub(super) const REDACT_QUERY_EXCEPT: &str = r#"["auth_method", "auth_provider", "auth_type", "pass_through", "passwordless", "session_type", "signature_method", "signature_type", "signature_version", "ticket_category", "ticket_class", "ticket_count", "ticket_price", "ticket_type", "token_type"]"#;

/// All shapes of values, by their names.
pub(super) const REDACT_VALUES: &str = r#"["anthropic", "aws", "basic", "bearer", "github", "gitlab", "google", "jwt", "npm", "openai", "private_key", "slack", "stripe", "userinfo"]"#;
