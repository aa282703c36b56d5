//! Recipes for pictures: what was read is printed, and reads back as it was.
#![no_main]

use deepring_infer::inputs::Preprocess;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(recipe) = text.parse::<Preprocess>() {
        let printed = recipe.to_string();
        assert_eq!(printed.parse().as_ref(), Ok(&recipe));
        assert_eq!(printed.parse::<Preprocess>().expect("printed").to_string(), printed);
    }
});
