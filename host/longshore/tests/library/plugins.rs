//! Plugins come from folders, files and memory.

use longshore::{Class, Settings};

use crate::support::{Lake, plugin_folder, tpch};

#[test]
fn a_component_comes_from_its_file() {
    let settings = Settings::builder().plugin(plugin_folder().join("tpch.wasm")).build().unwrap();
    assert_eq!(Lake::new().region().settings(&settings).run_blocking().unwrap().rows, 5);
}

#[test]
fn a_component_comes_from_memory() {
    let settings = Settings::builder().plugin_bytes("generator", tpch()).build().unwrap();
    assert_eq!(Lake::new().region().settings(&settings).run_blocking().unwrap().rows, 5);
}

#[test]
fn a_component_that_is_none_is_named() {
    let settings = Settings::builder().plugin_bytes("generator", *b"#!/bin/sh").build().unwrap();
    let error = Lake::new().region().settings(&settings).run_blocking().unwrap_err();
    assert_eq!((error.class(), error.object()), (Class::Config, Some("generator")));
}

#[test]
fn without_the_plugin_it_is_said_where_it_was_looked_for() {
    let lake = Lake::new();
    let empty = lake.beside("plugins");
    std::fs::create_dir(&empty).unwrap();
    let settings = Settings::builder().plugins(&empty).build().unwrap();
    let error = lake.region().settings(&settings).run_blocking().unwrap_err();
    assert!(error.to_string().contains(empty.to_str().unwrap()), "{error}");
}

#[test]
fn what_the_policy_forbids_is_refused() {
    let lake = Lake::new();
    let policy = lake.beside("policy.toml");
    std::fs::write(&policy, "unlisted = \"forbid\"\n").unwrap();
    let settings = Settings::builder().plugins(plugin_folder()).policy(&policy).build().unwrap();
    let error = lake.region().settings(&settings).run_blocking().unwrap_err();
    assert_eq!(error.class(), Class::Auth);
}
