use super::*;

#[test]
fn combined_compiles_without_doubt() {
    assert_eq!(Format::combined().warnings(), []);
    assert_eq!(Format::combined().fields().len(), 8);
}
