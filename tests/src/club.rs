//! An invented club that pupils visit: a small contract without row bounds, with columns whose values it does not
//! list and numbers without a range.

use std::path::Path;

use vault::Input;

/// The contract `club`, with a pool of `pool` ρ.
pub fn contract(pool: f64) -> String {
    CONTRACT.replace("POOL", &format!("{pool:?}"))
}

const CONTRACT: &str = r#"{
  "name": "club", "version": "1.0.0", "title": "Club", "enclave:unit": "pupil", "enclave:poolRho": POOL,
  "resources": [
    { "name": "places", "path": "places.csv", "title": "Places", "enclave:public": true,
      "schema": { "primaryKey": ["place"], "fields": [
        { "name": "place", "type": "string", "constraints": { "required": true } },
        { "name": "area", "type": "string", "constraints": { "required": true } } ] } },
    { "name": "visits", "path": "visits.csv", "title": "Visits", "enclave:unitKey": "pupil",
      "schema": {
        "foreignKeys": [{ "fields": "place", "reference": { "resource": "places", "fields": "place" } }],
        "fields": [
          { "name": "pupil", "type": "string", "enclave:role": "unit", "constraints": { "required": true } },
          { "name": "kind", "type": "string", "constraints": { "enum": ["a", "b", "c"] } },
          { "name": "place", "type": "string" },
          { "name": "minutes", "type": "integer", "constraints": { "minimum": 0, "maximum": 600 } },
          { "name": "score", "type": "number", "constraints": { "minimum": -100, "maximum": 100 }, "enclave:step": 0.5 },
          { "name": "member", "type": "boolean" },
          { "name": "word", "type": "string" },
          { "name": "big", "type": "integer" },
          { "name": "ratio", "type": "number" },
          { "name": "day", "type": "date" } ] } } ] }"#;

/// Rows of `visits` as CSV without a header; the first field is the pupil.
#[derive(Debug, Clone, Default)]
pub struct Visits(Vec<String>);

impl Visits {
    /// One more row: `kind,place,minutes,score,member,word,big,ratio,day`.
    pub fn push(&mut self, pupil: usize, rest: &str) {
        self.0.push(format!("P{pupil:05},{rest}"));
    }

    /// Writes both tables into a folder.
    pub fn write(&self, dir: &Path) -> Vec<Input> {
        std::fs::create_dir_all(dir).unwrap();
        std::fs::write(dir.join("places.csv"), "place,area\nhall,north\npool,north\nyard,south\n").unwrap();
        let header = "pupil,kind,place,minutes,score,member,word,big,ratio,day\n";
        std::fs::write(dir.join("visits.csv"), header.to_owned() + &self.0.join("\n") + "\n").unwrap();
        crate::inputs(dir, &["places", "visits"])
    }
}
