//! Random paths of every kind that holds values, from fixed seeds, with the route that each should get: for tests and
//! for `cargo xtask routes`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Paths of each kind.
pub const SAMPLES: usize = 2_000;

/// The percentage of paths that may look like words.
pub const STRAYS_PERCENT: usize = 1;

/// Paths of one kind.
pub struct Kind {
    pub name: &'static str,
    /// The route of each.
    pub wanted: &'static str,
    pub status: u16,
    make: fn(&mut Random) -> String,
}

/// The routes that the paths of a kind got.
pub struct Row {
    pub name: &'static str,
    pub wanted: &'static str,
    /// How many different paths there are, which is how many routes they would be.
    pub paths: usize,
    /// How many routes they are.
    pub routes: usize,
    /// How many paths have another route than the wanted one, and some of them.
    pub strays: usize,
    pub examples: Vec<String>,
}

impl Row {
    /// Whether the kind is one route, but for those that nobody can tell from words.
    pub fn is_good(&self) -> bool {
        self.strays * 100 <= SAMPLES * STRAYS_PERCENT
    }
}

/// What `route` makes of the paths of each kind: of a path and the status of its answer.
pub fn rows(mut route: impl FnMut(&str, u16) -> String) -> Vec<Row> {
    let row = |(seed, kind): (u64, &Kind)| {
        let mut random = Random::new(seed + 1);
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        let mut paths = std::collections::BTreeSet::new();
        let mut examples = Vec::new();
        for _ in 0..SAMPLES {
            let path = (kind.make)(&mut random);
            let route = route(&path, kind.status);
            if route != kind.wanted && examples.len() < 5 {
                examples.push(format!("{path} became {route}"));
            }
            paths.insert(path);
            *found.entry(route).or_default() += 1;
        }
        let right = found.get(kind.wanted).copied().unwrap_or(0);
        Row {
            name: kind.name,
            wanted: kind.wanted,
            paths: paths.len(),
            routes: found.len(),
            strays: SAMPLES - right,
            examples,
        }
    };
    (0..).zip(KINDS).map(row).collect()
}

/// Xorshift64*: enough for variety, and no dependency.
pub struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(value).unwrap_or(0) % limit
    }

    fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.below(most - least + 1)
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// Characters of an alphabet.
    fn text(&mut self, alphabet: &str, length: usize) -> String {
        let alphabet = alphabet.as_bytes();
        let one = |_| char::from(alphabet[self.below(alphabet.len())]);
        (0..length).map(one).collect()
    }

    fn words(&mut self, count: usize) -> String {
        let words: Vec<&str> = (0..count).map(|_| self.of(WORDS)).collect();
        words.join("-")
    }

    fn uuid(&mut self) -> String {
        let hex = self.text(HEX, 30);
        let (variant, rest) = (self.text("89ab", 1), &hex[15..]);
        format!(
            "{}-{}-4{}-{variant}{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..15],
            &rest[..3],
            &rest[3..]
        )
    }

    fn date(&mut self) -> String {
        let (year, month, day) = (
            self.between(2015, 2026),
            self.between(1, 12),
            self.between(1, 28),
        );
        format!("{year}-{month:02}-{day:02}")
    }

    fn time(&mut self) -> String {
        let (hour, minute, second) = (self.below(24), self.below(60), self.below(60));
        format!("{hour:02}:{minute:02}:{second:02}")
    }

    /// Degrees with four digits behind the point.
    fn degrees(&mut self, most: usize) -> String {
        let sign = self.of(&["", "-"]);
        format!("{sign}{}.{:04}", self.below(most), self.below(10_000))
    }
}

const DIGITS: &str = "0123456789";
const HEX: &str = "0123456789abcdef";
const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const BASE36: &str = "0123456789abcdefghijklmnopqrstuvwxyz";
const BASE62: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE64URL: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const CROCKFORD: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BASE32: &str = "0123456789abcdefghjkmnpqrstvwxyz";
const BASE58: &str = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const UPPER36: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NO_LOOKALIKES: &str = "346789ABCDEFGHJKLMNPQRTUVWXYabcdefghijkmnpqrtwxyz";

const WORDS: &[&str] = &[
    "red", "blue", "shoes", "garden", "chair", "summer", "winter", "kitchen", "lamp", "table",
    "wooden", "leather", "running", "jacket", "classic", "modern", "light", "cotton", "shirt",
    "large", "small", "vintage", "coffee",
];

const KINDS: &[Kind] = &[
    kind("number", "/x/{id}", |r| format!("/x/{}", r.below(100_000))),
    kind("negative number", "/x/{id}", |r| {
        format!("/x/-{}", r.below(100_000))
    }),
    kind("ULID", "/x/{id}", |r| {
        format!("/x/01{}", r.text(CROCKFORD, 24))
    }),
    kind("cuid", "/x/{id}", |r| format!("/x/c{}", r.text(BASE36, 24))),
    kind("cuid2", "/x/{id}", |r| {
        format!("/x/{}{}", r.text(LOWER, 1), r.text(BASE36, 23))
    }),
    kind("ksuid", "/x/{id}", |r| format!("/x/{}", r.text(BASE62, 27))),
    kind("typeid", "/x/{id}", |r| {
        format!("/x/user_01{}", r.text(BASE32, 24))
    }),
    kind("cus_…", "/x/{id}", |r| {
        format!("/x/cus_{}", r.text(BASE62, 14))
    }),
    kind("pi_…", "/x/{id}", |r| {
        format!("/x/pi_{}", r.text(BASE62, 24))
    }),
    kind("nanoid", "/x/{id}", |r| {
        format!("/x/{}", r.text(BASE64URL, 21))
    }),
    kind("nanoid of 10", "/x/{id}", |r| {
        format!("/x/{}", r.text(BASE64URL, 10))
    }),
    kind("nanoid, lower case", "/x/{id}", |r| {
        format!("/x/{}", r.text(LOWER, 21))
    }),
    kind("nanoid, letters and digits", "/x/{id}", |r| {
        format!("/x/{}", r.text(BASE36, 21))
    }),
    kind("nanoid, no lookalikes", "/x/{id}", |r| {
        format!("/x/{}", r.text(NO_LOOKALIKES, 21))
    }),
    kind("base58 of 22", "/x/{id}", |r| {
        format!("/x/{}", r.text(BASE58, 22))
    }),
    kind("base64url of 16 bytes", "/x/{id}", |r| {
        format!("/x/{}", r.text(BASE64URL, 22))
    }),
    kind("base64url of 32 bytes", "/x/{id}", |r| {
        format!("/x/{}", r.text(BASE64URL, 43))
    }),
    kind("base64 with padding", "/x/{id}", |r| {
        format!("/x/{}%3D%3D", r.text(BASE62, 22))
    }),
    kind("video id of 11", "/x/{id}", |r| {
        format!("/x/{}", r.text(BASE64URL, 11))
    }),
    kind("T0…, U0…", "/x/{id}", |r| {
        format!("/x/{}0{}", r.of(&["T", "U", "C"]), r.text(UPPER36, 9))
    }),
    kind("ASIN", "/x/{id}", |r| {
        format!("/x/B0{}", r.text(UPPER36, 8))
    }),
    kind("JWT", "/x/{token}", |r| {
        let (body, mark) = (r.text(BASE64URL, 60), r.text(BASE64URL, 43));
        format!("/x/eyJhbGciOiJIUzI1NiJ9.{body}.{mark}")
    }),
    kind("hex of 7", "/x/{id}", |r| format!("/x/{}", r.text(HEX, 7))),
    kind("hex of 8", "/x/{id}", |r| format!("/x/{}", r.text(HEX, 8))),
    kind("hex of 12", "/x/{id}", |r| {
        format!("/x/{}", r.text(HEX, 12))
    }),
    kind("hex of 15", "/x/{id}", |r| {
        format!("/x/{}", r.text(HEX, 15).to_uppercase())
    }),
    kind("object id, hex of 24", "/x/{hash}", |r| {
        format!("/x/{}", r.text(HEX, 24))
    }),
    kind("SHA-1", "/x/{hash}", |r| format!("/x/{}", r.text(HEX, 40))),
    kind("digest", "/x/sha256:{hash}", |r| {
        format!("/x/sha256:{}", r.text(HEX, 64))
    }),
    kind("8f3a-1c6e", "/x/{id}", |r| {
        format!("/x/{}-{}", r.text(HEX, 4), r.text(HEX, 4))
    }),
    kind("MAC address", "/x/{id}", |r| {
        let pairs: Vec<String> = (0..6).map(|_| r.text(HEX, 2)).collect();
        format!("/x/{}", pairs.join("-"))
    }),
    kind("UUID", "/x/{uuid}", |r| format!("/x/{}", r.uuid())),
    kind("UUID in braces", "/x/{uuid}", |r| {
        format!("/x/%7B{}%7D", r.uuid().to_uppercase())
    }),
    kind("several UUIDs", "/x/{uuid}", |r| {
        format!("/x/{},{}", r.uuid(), r.uuid())
    }),
    kind("9368027.png", "/x/{id}.png", |r| {
        format!("/x/{}.png", r.below(10_000_000))
    }),
    kind("main.8f3a91c2.js", "/x/main.{hash}.js", |r| {
        format!("/x/main.{}.js", r.text(HEX, 8))
    }),
    kind("app.….chunk.css", "/x/app.{hash}.chunk.css", |r| {
        format!("/x/app.{}.chunk.css", r.text(HEX, 20))
    }),
    kind("map tiles", "/{id}/{id}/{id}.png", |r| {
        format!(
            "/{}/{}/{}.png",
            r.below(20),
            r.below(100_000),
            r.below(100_000)
        )
    }),
    kind("map tiles @2x", "/{id}/{id}/{id}@2x.png", |r| {
        format!(
            "/{}/{}/{}@2x.png",
            r.below(20),
            r.below(100_000),
            r.below(100_000)
        )
    }),
    kind("2026-11-27", "/x/{date}", |r| format!("/x/{}", r.date())),
    kind("20261127", "/x/{date}", |r| {
        format!("/x/{}", r.date().replace('-', ""))
    }),
    kind("27.11.2026", "/x/{date}", |r| {
        format!(
            "/x/{:02}.{:02}.{}",
            r.between(1, 28),
            r.between(1, 12),
            r.between(1990, 2030)
        )
    }),
    kind("2026-11", "/x/{date}", |r| format!("/x/{}", &r.date()[..7])),
    kind("ISO time", "/x/{date}", |r| {
        format!("/x/{}T{}Z", r.date(), r.time())
    }),
    kind("ISO time with a zone", "/x/{date}", |r| {
        format!(
            "/x/{}T{}.{:03}%2B{:02}:00",
            r.date(),
            r.time(),
            r.below(1000),
            r.below(13)
        )
    }),
    kind("e-mail", "/x/{email}", |r| {
        format!(
            "/x/{}.{}@{}.example",
            r.of(WORDS),
            r.text(BASE36, 4),
            r.of(WORDS)
        )
    }),
    kind("e-mail, encoded twice", "/x/{email}", |r| {
        format!("/x/{}%2540{}.example", r.text(LOWER, 8), r.of(WORDS))
    }),
    kind("phone number", "/x/{phone}", |r| {
        format!("/x/+49{}", r.text(DIGITS, 10))
    }),
    kind("phone number, encoded", "/x/{phone}", |r| {
        format!(
            "/x/%2B1%20({})%20{}-{}",
            r.text(DIGITS, 3),
            r.text(DIGITS, 3),
            r.text(DIGITS, 4)
        )
    }),
    kind("IPv4", "/x/{ip}", |r| {
        format!(
            "/x/{}.{}.{}.{}",
            r.between(1, 223),
            r.below(256),
            r.below(256),
            r.below(256)
        )
    }),
    kind("IPv6", "/x/{ip}", |r| {
        format!("/x/2001:db8::{}:{:x}", r.text(HEX, 4), r.below(65_536))
    }),
    kind("coordinates", "/x/{coordinates}", |r| {
        format!("/x/{},{}", r.degrees(90), r.degrees(180))
    }),
    kind("1.2.3", "/x/{version}", |r| {
        format!("/x/{}.{}.{}", r.below(20), r.below(50), r.below(100))
    }),
    kind("jquery-3.6.0.min.js", "/x/jquery-{version}.min.js", |r| {
        format!(
            "/x/jquery-{}.{}.{}.min.js",
            r.below(20),
            r.below(50),
            r.below(100)
        )
    }),
    kind("Users(1)", "/x/Users({id})", |r| {
        format!("/x/Users({})", r.below(100_000))
    }),
    kind("Users('…')", "/x/Users({id})", |r| {
        format!(
            "/x/Users('{}')",
            r.of(WORDS).to_owned() + &r.text(DIGITS, 4)
        )
    }),
    kind("1,2,3", "/x/{id}", |r| {
        let ids: Vec<String> = (0..r.between(2, 6))
            .map(|_| r.below(10_000).to_string())
            .collect();
        format!("/x/{}", ids.join(","))
    }),
    kind("10-20", "/x/{id}", |r| {
        format!("/x/{}-{}", r.below(1_000), r.below(100_000))
    }),
    kind("ORD-2026-0001", "/x/{id}", |r| {
        format!("/x/ORD-2026-{:04}", r.below(10_000))
    }),
    kind("PROJ-17", "/x/{id}", |r| {
        format!("/x/PROJ-{}", r.between(1, 9_999))
    }),
    kind("ISBN-13", "/x/{id}", |r| {
        format!(
            "/x/978-{}-{}-{}-{}",
            r.below(10),
            r.text(DIGITS, 2),
            r.text(DIGITS, 6),
            r.below(10)
        )
    }),
    kind("ISBN-10", "/x/{id}", |r| {
        format!(
            "/x/{}-{}-{}-{}",
            r.below(10),
            r.text(DIGITS, 4),
            r.text(DIGITS, 4),
            r.of(&["1", "7", "X"])
        )
    }),
    kind("slug with a number", "/x/{slug}", |r| {
        let count = r.between(2, 4);
        format!("/x/{}-{}", r.words(count), r.between(1_000, 99_999))
    }),
    kind("number before a slug", "/x/{slug}", |r| {
        let count = r.between(2, 4);
        format!("/x/{}-{}", r.between(1_000, 99_999), r.words(count))
    }),
    kind("slug with a hash", "/x/{slug}", |r| {
        let count = r.between(2, 4);
        format!("/x/{}-{}", r.words(count), r.text(HEX, 10))
    }),
    kind("slug.html", "/x/{slug}.html", |r| {
        format!("/x/{}-{}.html", r.words(3), r.between(1_000, 99_999))
    }),
    kind("i-0abc…", "/x/{id}", |r| {
        format!("/x/i-0{}", r.text(HEX, 16))
    }),
    kind("/login;jsessionid=…", "/login", |r| {
        format!("/login;jsessionid={}", r.text(UPPER36, 32))
    }),
    kind("words, 404", "{not found}", |r| {
        let length = r.between(3, 12);
        format!("/{}", r.text(LOWER, length))
    })
    .answered(404),
    kind("*.php, 404", "{not found}", |r| {
        let length = r.between(3, 12);
        format!("/{}/{}.php", r.of(WORDS), r.text(BASE36, length))
    })
    .answered(404),
    kind("bytes, 404", "{not found}", |r| bytes(r, 12)).answered(404),
    kind("bytes, 200", "/x/{text}", |r| {
        let mut path = "/x/%FF".to_owned();
        for _ in 0..10 {
            let _ = write!(path, "%{:02X}", r.between(0x80, 0xff));
        }
        path
    }),
    kind("number, 404", "/x/{id}", |r| {
        format!("/x/{}", r.below(100_000))
    })
    .answered(404),
];

const fn kind(name: &'static str, wanted: &'static str, make: fn(&mut Random) -> String) -> Kind {
    Kind {
        name,
        wanted,
        status: 200,
        make,
    }
}

impl Kind {
    const fn answered(self, status: u16) -> Self {
        Self { status, ..self }
    }
}

/// A path of any bytes, encoded.
fn bytes(random: &mut Random, length: usize) -> String {
    let mut path = "/".to_owned();
    for _ in 0..length {
        let _ = write!(path, "%{:02X}", random.below(256));
    }
    path
}
