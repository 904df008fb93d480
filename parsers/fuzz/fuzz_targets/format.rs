//! Any format, compiled in each way, and a line read by it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use logweir_parsers::{Captures, Escape, Format};

fuzz_target!(|input: (String, Vec<u8>)| {
    let (source, line) = input;
    let mut captures = Captures::new();
    for escape in [Escape::Default, Escape::Json, Escape::None] {
        let ways = [
            Format::compile(&source, escape),
            Format::from_directive(&source, escape),
        ];
        for format in ways {
            match format {
                Ok(format) => {
                    // What was compiled compiles again to the same.
                    let again = Format::compile(format.source(), format.escape()).unwrap();
                    assert_eq!(again.fields(), format.fields());
                    assert_eq!(again.warnings(), format.warnings());
                    if let Err(error) = format.parse(&line, &mut captures) {
                        assert!(error.offset as usize <= line.len());
                        assert!(!format.explain(&error).to_string().is_empty());
                    }
                }
                Err(error) => {
                    assert!(error.offset() <= error.source().len());
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
});
