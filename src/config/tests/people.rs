//! Tests of the sections `[privacy]` and `[enrich]`, valid and invalid.

use super::*;

pub(super) const DEFINITIONS: &str = testkit::USER_AGENTS;

const KEY: &str = "hash_key = \"kJ8s0mVx2Qp7Lw4Zt9\"";

#[test]
fn invalid_privacy_is_reported() {
    let privacy = |more: &str| text(&format!("[privacy]\n{more}\n")).errors();
    let with_key = |more: &str| privacy(&format!("{KEY}\n{more}"));
    let told = [
        privacy("ip = \"hsah\""),
        privacy("ip = \"hash\""),
        privacy("hash_fields = [\"user.name\"]"),
        privacy("ip = \"hash\"\nhash_key = \"\""),
        privacy("ip = \"hash\"\nhash_key = \"short\""),
        privacy("ip = \"hash\"\nhash_key = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""),
        privacy("ip = \"hash\"\nhash_key_file = \"/none\""),
        privacy("hash_key_file = \"key\""),
        with_key("hash_key_file = \"/etc/logweir/key\""),
        with_key("hash_fields = [\"user.id\", \"url.query\", \"source.ip\", \"nginx.access.\"]"),
        with_key("hash_fields = [\"user.name\", \"user.name\"]"),
        with_key(
            "hash_fields = [\"client.ip\", \"labels.site\"]\n[[logs]]\npaths = [\"/a\"]\n\
             fields = { \"client.ip\" = \"$http_x\", \"labels.site\" = \"shop\" }",
        ),
        privacy("redact_query = [\"token=\", \"\", \"_\", \"a%20\"]"),
        privacy("redact = [\"token\"]"),
        privacy("redact_query_add = [\"a b\", \"*ab\", \"a*b\"]\nredact_query_except = [\"=\"]"),
        privacy("redact_values = [\"jwt\", \"jwts\"]\nredact_values_except = [\"AKIA\"]"),
        privacy("redact_values_add = [\"ab\", \"acme live\", \"acme_live_\"]"),
    ];
    insta::assert_snapshot!(told.join("\n"));
    assert!(!told.join("\n").contains("kJ8s"), "a key is shown");
}

#[test]
fn privacy_is_read() {
    let default = text("").config().privacy;
    assert_eq!(default.ip, AddressRule::Keep);
    assert!(default.redact_query.contains(&"*token".to_owned()));
    assert!(default.redact_values.contains(&"jwt".to_owned()));
    assert!(default.hash_key.is_none() && default.hash_fields.is_empty());
    let machine = text(
        "[privacy]\nip = \"hash\"\nhash_key_file = \"/key\"\nredact_query = []\n\
         hash_fields = [\"user.name\", \"user.id\", \"nginx.access.http_x\"]\n\
         [[logs]]\npaths = [\"/a\"]\nfields = { \"user.id\" = \"$http_x_user_id\" }",
    );
    let privacy = machine
        .clone()
        .with("/key", "kJ8s0mVx2Qp7Lw4Zt9\n")
        .config()
        .privacy;
    assert_eq!(privacy.ip, AddressRule::Hash);
    assert_eq!(privacy.redact_query, Vec::<String>::new());
    assert_eq!(privacy.hash_fields.len(), 3);
    let lists = text(
        "[privacy]\nredact_query_add = [\"member\"]\nredact_query_except = [\"csrf\"]\n\
         redact_values_except = [\"jwt\", \"userinfo\"]\nredact_values_add = [\"acme_live_\"]",
    );
    let lists = lists.config().privacy;
    for name in ["*token", "member"] {
        assert!(lists.redact_query.contains(&name.to_owned()), "{name}");
    }
    assert_eq!(lists.redact_query_except, ["csrf"]);
    assert!(lists.redact_values.contains(&"aws".to_owned()));
    assert!(!lists.redact_values.contains(&"jwt".to_owned()));
    assert!(!lists.redact_values.contains(&"userinfo".to_owned()));
    assert_eq!(lists.redact_values_add, ["acme_live_"]);
    // the line feed is not part of the key, and the key is never shown
    let key = privacy.hash_key.unwrap();
    assert_eq!(
        key.derive("a"),
        HashKey::new("kJ8s0mVx2Qp7Lw4Zt9").derive("a")
    );
    assert_ne!(key.derive("a"), key.derive("b"));
    assert!(!format!("{key:?}").contains("kJ8s"));
}

#[test]
fn invalid_enrichment_is_reported() {
    let enrich = |more: &str| {
        let machine = text(&format!("[enrich]\n{more}\n"));
        let machine = machine
            .with("/city.mmdb", mmdb::city())
            .with("/asn.mmdb", mmdb::asn());
        let machine = machine.with("/page.html", "<html>");
        let cut = &DEFINITIONS[..DEFINITIONS.find("device_parsers").unwrap()];
        let machine = machine
            .with("/regexes.yaml", DEFINITIONS)
            .with("/cut.yaml", cut);
        let odd = format!("{DEFINITIONS}  - regex: '(a'\n");
        machine.with("/odd.yaml", odd).errors()
    };
    let told = [
        enrich("geoip = \"/none.mmdb\""),
        enrich("geoip = \"city.mmdb\""),
        enrich("geoip = \"/page.html\""),
        enrich("geoip = \"/asn.mmdb\""),
        enrich("asn = \"/city.mmdb\""),
        enrich("user_agent = true\ngeoip = true\nasn = false"),
        enrich("user_agent = 1"),
        enrich("user_agent = \"/none.yaml\""),
        enrich("user_agent = \"/page.html\""),
        enrich("user_agent = \"/cut.yaml\""),
        enrich("user_agent = \"/odd.yaml\""),
        enrich(
            "geoip = \"/city.mmdb\"\nuser_agent = \"/regexes.yaml\"\n[[logs]]\npaths = [\"/a\"]\n\
             fields = { \"source.geo.city_name\" = \"$geoip_city\", \"user_agent.os.name\" = \"$os\" }",
        ),
    ];
    insta::assert_snapshot!(told.join("\n"));
    // the value of a variable is always a text
    let variable = Machine::default().var("LOGWEIR_ENRICH_USER_AGENT", "true");
    let said = variable.errors();
    assert!(
        said.contains("enrich.user_agent: \"true\": is no path"),
        "{said}"
    );
}

#[test]
fn enrichment_is_read_and_its_files_are_reported() {
    let settings =
        "[enrich]\nuser_agent = \"/regexes.yaml\"\ngeoip = \"/city.mmdb\"\nasn = \"/asn.mmdb\"\n";
    let loaded = text(settings)
        .with("/regexes.yaml", DEFINITIONS)
        .with("/city.mmdb", mmdb::city())
        .with("/asn.mmdb", mmdb::asn())
        .load()
        .unwrap();
    let files = loaded.config.enrich.files();
    let shown: Vec<String> = files
        .map(|(setting, about)| format!("{setting} {}: {}", about.path.display(), about.says))
        .collect();
    assert_eq!(
        shown,
        [
            "user_agent /regexes.yaml: 10 expressions",
            "geoip /city.mmdb: GeoLite2-City of 2026-11-18, 2193B of memory",
            "asn /asn.mmdb: GeoLite2-ASN of 2026-11-18, 1574B of memory",
        ]
    );
    for path in ["/regexes.yaml", "/city.mmdb", "/asn.mmdb"] {
        assert!(loaded.files.contains(&PathBuf::from(path)), "{path}");
    }
    // fields that enrichment does not fill may come from elsewhere
    let fields =
        "[[logs]]\npaths = [\"/a\"]\nfields = { \"source.geo.city_name\" = \"$geoip_city\" }";
    text(&format!(
        "[enrich]\nuser_agent = \"/regexes.yaml\"\n{fields}"
    ))
    .with("/regexes.yaml", DEFINITIONS)
    .config();
}
